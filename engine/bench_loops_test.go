package engine_test

// How loops scale with processors: run with -cpu 1,2,4. The clients, goroutines of package
// net in the same process, share the processors with the server and need more of them than it
// does; what counts is a row beside its neighbours, not a rate. The suite in benchmarks/ has
// the load in a process of its own.

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// loopConnections are as many as keep every loop busy.
const loopConnections = 64

func BenchmarkLoops(b *testing.B) {
	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
	for _, mode := range []engine.Mode{engine.Inline, engine.Pool} {
		for _, c := range []struct {
			name  string
			loops int
		}{{"one", 1}, {"per-processor", runtime.GOMAXPROCS(0)}} {
			b.Run(mode.String()+"/loops="+c.name, func(b *testing.B) {
				e, err := engine.New(engine.WithMode(mode), engine.WithLoops(c.loops), engine.WithLogger(engine.NoLog{}))
				must(b, err)
				defer e.Close()
				l, err := e.Listen("tcp4", "127.0.0.1:0", echo)
				must(b, err)
				benchmarkTrips(b, l.Addr())
			})
		}
	}
	b.Run("net", func(b *testing.B) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(b, err)
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go echoUntilEOF(c)
			}
		}()
		benchmarkTrips(b, l.Addr())
	})
}

// echoUntilEOF is a server's goroutine on package net. It reads into memory of its own, as
// servers do that look at what they read.
func echoUntilEOF(c net.Conn) {
	defer c.Close()
	message := make([]byte, 4096)
	for {
		n, err := c.Read(message)
		if err != nil {
			return
		}
		if _, err := c.Write(message[:n]); err != nil {
			return
		}
	}
}

// benchmarkTrips sends 64 bytes over each of loopConnections and waits for them, all at once.
func benchmarkTrips(b *testing.B, server net.Addr) {
	conns := make(chan net.Conn, 2*loopConnections)
	procs := runtime.GOMAXPROCS(0)
	perProcessor := (loopConnections + procs - 1) / procs // as RunParallel multiplies
	for range perProcessor * procs {
		c, err := net.Dial("tcp4", server.String())
		must(b, err)
		defer c.Close()
		conns <- c
	}
	b.SetParallelism(perProcessor)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, message := <-conns, make([]byte, 64)
		for pb.Next() {
			if _, err := c.Write(message); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(c, message); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "round-trips/s")
}
