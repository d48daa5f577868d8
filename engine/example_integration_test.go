package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// crew is an Executor: a goroutine for each task, and a bounded number of them.
type crew chan struct{}

func (c crew) TrySubmit(task func()) bool {
	select {
	case c <- struct{}{}:
	default:
		return false // the engine pauses reading, or does what WithOverload says
	}
	go func() {
		defer func() { <-c }() // deferred, because a handler may end its goroutine
		task()
	}()
	return true
}

// Handlers run wherever the program wants them to.
func ExampleWithExecutor() {
	e, err := engine.New(engine.WithExecutor(make(crew, 8)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	shout := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(bytes.ToUpper(f.Bytes())) })
	l, err := e.Listen("tcp", "127.0.0.1:0", shout)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask("tcp", l.Addr().String(), "hello"))
	// Output: HELLO
}

// The engine's events go where the program's own log goes.
func ExampleSlog() {
	var log bytes.Buffer
	e, err := engine.New(engine.WithLogger(engine.Slog(slog.New(slog.NewTextHandler(&log, nil)))))
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(*session.Session, session.Frame) { panic("oh") }))
	if err != nil {
		fmt.Println(err)
		return
	}
	ask("tcp", l.Addr().String(), "hello")
	_ = e.Close() // all events have been written when it returns
	fmt.Println(strings.Contains(log.String(), `msg=panic`), strings.Contains(log.String(), `oh`))
	// Output: true true
}

// An HTTP service that has lived on net/http gets a push channel beside it: a POST is
// told to everybody who is connected, and the counters are read with a GET.
func Example_besideHTTP() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	news := e.Group("news")
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(subscriber{news}, frame.Lines()))
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- e.Serve(ctx) }() // until ctx ends, which may end your http.Server, too

	mux := http.NewServeMux()
	mux.HandleFunc("POST /news", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
		if err == nil {
			err = news.Send(text) // never waits for a subscriber
		}
		if errors.Is(err, session.ErrBufferFull) {
			http.Error(w, "later, please", http.StatusServiceUnavailable)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(e.Stats()) // an error: the client has gone
	})
	web := httptest.NewServer(mux) // your http.Server
	defer web.Close()

	ada := enter(l.Addr())
	if _, err := http.Post(web.URL+"/news", "text/plain", strings.NewReader("it rains")); err != nil {
		fmt.Println(err)
	}
	fmt.Println("Ada hears:", ada.hear())
	counters, err := http.Get(web.URL + "/stats")
	if err != nil {
		fmt.Println(err)
		return
	}
	var stats engine.Stats
	err = json.NewDecoder(counters.Body).Decode(&stats)
	_ = counters.Body.Close()
	fmt.Println("sessions:", stats.Sessions, err)
	ada.Close()
	stop()
	fmt.Println(<-served)
	// Output:
	// Ada hears: it rains
	// sessions: 1 <nil>
	// <nil>
}

// subscriber hears the news, and says nothing.
type subscriber struct{ news *session.Group }

func (h subscriber) OnOpen(s *session.Session) {
	if h.news.Join(s) == nil {
		_ = s.Send([]byte("welcome"))
	}
}

func (h subscriber) OnMessage(s *session.Session, _ session.Frame) {
	_ = s.CloseWith(fmt.Errorf("%w: nobody asked", session.ReasonProtocolError))
}

// A listener that the program has made already, for instance one that it was given by
// systemd, is adopted.
func ExampleEngine_Adopt() {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
	if _, err := e.Adopt(own, echo); err != nil {
		fmt.Println(err)
		return
	}
	_ = own.Close() // the engine has a duplicate
	fmt.Println(ask("tcp", own.Addr().String(), "hello"))
	// Output: hello
}

// A client whose server is not there yet: Connect tells why, Start has it go on trying, and
// meanwhile messages wait. The error of Send tells what can be done about one that does not.
func ExampleClient_Connect() {
	address := lastingPort("127.0.0.1") // where nobody listens yet
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	answers := make(chan string, 1)
	handler := session.HandlerFunc(func(_ *session.Session, f session.Frame) { answers <- string(f.Bytes()) })

	c, err := e.NewClient("tcp", address, handler) // err names what is wrong with the arguments
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil { // the real error: ECONNREFUSED, a DNS error, ctx's
		fmt.Println("nobody is there yet:", errors.Is(err, syscall.ECONNREFUSED))
		c.Start() // it goes on trying by itself: 50 ms to 1 s, full jitter
	}
	send := func(p []byte) {
		switch err := c.Send(p); {
		case errors.Is(err, session.ErrBufferFull): // 1 MiB would wait: try later
			fmt.Println("later")
		case errors.Is(err, session.ErrClosed): // the client was closed
			fmt.Println("never")
		case err != nil:
			fmt.Println(err)
		}
	}
	send([]byte("hello"))
	send(make([]byte, 1<<20))

	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
	if _, err := e.Listen("tcp", address, echo); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-answers)
	_ = c.Close()
	send([]byte("too late"))
	// Output:
	// nobody is there yet: true
	// later
	// hello
	// never
}
