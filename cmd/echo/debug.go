package main

import (
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/weirnet/weir/engine"
)

// debugServer lets others look inside a running server, over HTTP:
//
//	/debug/pprof/   profiles, for go tool pprof
//	/stats          the engine's counters and the process's memory
//	/closed         the sessions that closed last, and why
//
// It has a mux of its own. Importing net/http/pprof also registers the profiles
// with http.DefaultServeMux, which nothing here serves.
type debugServer struct {
	http     http.Server
	listener net.Listener
}

// listenDebug starts a debugServer, which the caller must close.
func listenDebug(address string, e *engine.Engine) (*debugServer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) { serveStats(w, r, e) })
	mux.HandleFunc("GET /closed", func(w http.ResponseWriter, _ *http.Request) { serveClosed(w, e.RecentlyClosed()) })
	d := &debugServer{http: http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, listener: l}
	go d.http.Serve(l) // returns at close
	return d, nil
}

func (d *debugServer) addr() net.Addr { return d.listener.Addr() }

func (d *debugServer) close() { _ = d.http.Close() }
