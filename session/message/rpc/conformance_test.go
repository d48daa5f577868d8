package rpc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// What is promised to users, over real sockets, in every mode of the engine.

var scenarios = []struct {
	name string
	run  func(*testing.T, setting)
}{
	{"calls from many goroutines", callsFromMany},
	{"large messages", largeMessages},
	{"both ends ask", bothEndsAsk},
	{"answers from elsewhere", answersFromElsewhere},
	{"a cancel reaches the handler", cancelReachesHandler},
	{"the end of the server", serverEnds},
	{"the end of the client", clientEnds},
	{"a handler must not wait for itself", handlersCannotWait},
	{"a panic is told of", panicIsTold},
	{"calls just after Dial", callsAfterDial},
	{"a client that comes back", clientComesBack},
	{"a handler that is given a session later", upgrade},
	{"heartbeats measure", heartbeatsMeasure},
}

func TestConformance(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range scenarios {
				leaving(t, c.name, func(t *testing.T) { c.run(t, s) })
			}
		})
	}
}

// adder answers with one more.
func adder(t testing.TB) *rpc.Peer {
	p := newPeer(t)
	p.Handle("add", func(r *rpc.Request) (*message.Message, error) {
		return r.Message.Reply().Set("n", message.Int(numberOf(t, r.Message)+1)), nil
	})
	return p
}

func callsFromMany(t *testing.T, s setting) {
	const sessions, callers, calls = 4, 8, 50
	server, client := adder(t), newPeer(t)
	e := s.launch(t)
	address := s.listen(t, e, server)
	other := s.launch(t)
	var all sync.WaitGroup
	for range sessions {
		to := s.dial(t, other, client, address)
		for i := range callers {
			all.Go(func() {
				for n := range calls {
					if i%2 == 0 {
						reply, err := call(t, client, to, number("add", n))
						if err != nil || numberOf(t, reply) != n+1 {
							t.Errorf("Call: %v, %v", reply, err)
						}
						continue
					}
					done := make(chan struct{})
					err := client.Go(t.Context(), to, number("add", n), func(reply *message.Message, err error) {
						if err != nil || numberOf(t, reply) != n+1 {
							t.Errorf("Go: %v, %v", reply, err)
						}
						close(done)
					})
					if err != nil {
						t.Error(err)
						return
					}
					await(t, "the answer", done)
				}
			})
		}
	}
	all.Wait()
	const total = sessions * callers * calls
	if st := client.Stats(); st.Answered != total || st.Failed+st.Unsent+st.InDoubt+st.Late != 0 {
		t.Errorf("client: %+v", st)
	}
	until(t, "all places are free", func() bool { return server.Stats().Serving == 0 }) // the last answers leave before that
	if st := server.Stats(); st.Requests != total {
		t.Errorf("server: %+v", st)
	}
}

func largeMessages(t *testing.T, s setting) {
	const calls = 6
	size, rounds := 3<<20, 3 // together far more than a session may have queued
	if raceEnabled || testing.Short() {
		size, rounds = 1<<20, 1
	}
	server, client := newPeer(t), newPeer(t)
	server.HandleApart("echo", func(r *rpc.Request) (*message.Message, error) { return r.Message.Reply().Set("p", get(r.Message)), nil })
	e := s.launch(t)
	to := s.dial(t, e, client, s.listen(t, e, server))
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), size)
			for range rounds {
				reply, err := call(t, client, to, message.New("echo").Set("p", message.String(text)))
				if err != nil || get(reply).Text() != text {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

func get(m *message.Message) message.Value {
	v, _ := m.Get("p")
	return v
}

func bothEndsAsk(t *testing.T, s setting) {
	server, client := adder(t), adder(t)
	server.HandleApart("through", func(r *rpc.Request) (*message.Message, error) {
		return server.Call(r.Context(), r.Session(), number("add", numberOf(t, r.Message)))
	})
	server.Handle("onward", func(r *rpc.Request) (*message.Message, error) {
		later := r.Later()
		return nil, server.Go(r.Context(), r.Session(), number("add", numberOf(t, r.Message)), func(reply *message.Message, err error) {
			if err == nil {
				err = later.Reply(reply)
			} else {
				err = later.Fail(err)
			}
			if err != nil {
				t.Error(err)
			}
		})
	})
	e := s.launch(t)
	to := s.dial(t, e, client, s.listen(t, e, server))
	for n := range 100 {
		for _, typ := range []string{"through", "onward"} {
			if reply, err := call(t, client, to, number(typ, n)); err != nil || numberOf(t, reply) != n+1 {
				t.Fatalf("%s: %v, %v", typ, reply, err)
			}
		}
	}
}

func answersFromElsewhere(t *testing.T, s setting) {
	server, client := newPeer(t), newPeer(t)
	waiting := make(chan *rpc.Responder, 100)
	server.Handle("later", func(r *rpc.Request) (*message.Message, error) {
		waiting <- r.Later()
		return nil, nil
	})
	e := s.launch(t)
	to := s.dial(t, e, client, s.listen(t, e, server))
	answers := make(chan int, 100)
	for n := range 100 {
		must(t, client.Go(t.Context(), to, number("later", n), func(reply *message.Message, err error) {
			if err != nil {
				t.Error(err)
			}
			answers <- n
		}))
	}
	var all []*rpc.Responder
	for range 100 {
		all = append(all, await(t, "a request", waiting))
	}
	for i := range all {
		must(t, all[99-i].Reply(nil))
	}
	for i := range 100 {
		if n := await(t, "an answer", answers); n != 99-i {
			t.Fatalf("request %d is answered, want %d", n, 99-i)
		}
	}
}

func cancelReachesHandler(t *testing.T, s setting) {
	server, client := newPeer(t), newPeer(t)
	begun, ended := make(chan struct{}, 1), make(chan error, 1)
	server.HandleApart("slow", func(r *rpc.Request) (*message.Message, error) {
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return nil, nil
	})
	e := s.launch(t)
	to := s.dial(t, e, client, s.listen(t, e, server))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := client.Call(ctx, to, message.New("slow"))
		done <- err
	}()
	await(t, "the request", begun)
	cancel()
	if err := await(t, "the end of the call", done); !errors.Is(err, context.Canceled) || !errors.Is(err, rpc.ErrInDoubt) {
		t.Errorf("Call: %v", err)
	}
	if err := await(t, "the end of the handler", ended); !errors.Is(err, rpc.ErrCancelled) {
		t.Errorf("the context of the handler ended with %v", err)
	}
	until(t, "the place is free", func() bool { return server.Stats().Serving == 0 })
}

// serverEnds ends the server while calls wait: they are in doubt, and the handlers' contexts end.
func serverEnds(t *testing.T, s setting) {
	server, client := newPeer(t), newPeer(t)
	begun, ended := make(chan struct{}, 10), make(chan error, 10)
	server.HandleApart("slow", func(r *rpc.Request) (*message.Message, error) {
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return nil, nil
	})
	e := s.launch(t)
	to := s.dial(t, s.launch(t), client, s.listen(t, e, server))
	done := make(chan error, 10)
	for range 10 {
		must(t, client.Go(t.Context(), to, message.New("slow"), func(_ *message.Message, err error) { done <- err }))
	}
	for range 10 {
		await(t, "a request", begun)
	}
	must(t, e.Close())
	for range 10 {
		if err := await(t, "the end of a call", done); !errors.Is(err, rpc.ErrInDoubt) || !errors.Is(err, session.ErrClosed) {
			t.Errorf("Go: %v", err)
		}
		if err := await(t, "the end of a handler", ended); !errors.Is(err, session.ReasonShutdown) {
			t.Errorf("the context of the handler ended with %v", err)
		}
	}
	until(t, "all sessions gone", func() bool { return to.State() == session.Closed })
	if _, err := call(t, client, to, message.New("slow")); !errors.Is(err, rpc.ErrUnsent) {
		t.Errorf("Call after the end: %v", err)
	}
}

func clientEnds(t *testing.T, s setting) {
	server, client := newPeer(t), newPeer(t)
	responders := make(chan *rpc.Responder, 1)
	server.Handle("later", func(r *rpc.Request) (*message.Message, error) {
		responders <- r.Later()
		return nil, nil
	})
	e := s.launch(t)
	to := s.dial(t, e, client, s.listen(t, e, server))
	done := make(chan error, 1)
	must(t, client.Go(t.Context(), to, message.New("later"), func(_ *message.Message, err error) { done <- err }))
	a := await(t, "the request", responders)
	must(t, to.Close())
	if err := await(t, "the end of the call", done); !errors.Is(err, rpc.ErrInDoubt) || !errors.Is(err, session.ReasonLocalClose) {
		t.Errorf("Go: %v", err)
	}
	<-a.Context().Done()
	until(t, "the session ends", func() bool { return errors.Is(a.Reply(nil), session.ErrClosed) || server.Stats().Serving == 0 })
}

func handlersCannotWait(t *testing.T, s setting) {
	server, client := adder(t), adder(t)
	server.Handle("call back", func(r *rpc.Request) (*message.Message, error) {
		_, err := call(t, server, r.Session(), number("add", 1))
		return nil, err
	})
	to := s.dial(t, s.launch(t), client, s.listen(t, s.launch(t), server))
	_, err := call(t, client, to, message.New("call back"))
	if e := (*message.Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Text, rpc.ErrDeadlock.Error()) {
		t.Errorf("a handler that calls back was told %v", err)
	}
	done := make(chan error, 1)
	must(t, client.Go(t.Context(), to, number("add", 1), func(*message.Message, error) {
		_, err := client.Ping(t.Context(), to)
		done <- err
	}))
	if err := await(t, "the completion", done); !errors.Is(err, rpc.ErrDeadlock) || !errors.Is(err, rpc.ErrUnsent) {
		t.Errorf("a completion that pings was told %v", err)
	}

	// Who is on a loop without the peer's doing notices late.
	if strings.HasPrefix(s.name, "pool") {
		return
	}
	client = adder(t) // the other one may still be in its completion
	to = s.dial(t, s.launch(t), client, s.listen(t, s.launch(t), server))
	must(t, to.Post(func() {
		_, err := call(t, client, to, number("add", 1))
		done <- err
	}))
	if err := await(t, "the task", done); !errors.Is(err, rpc.ErrDeadlock) || !errors.Is(err, rpc.ErrInDoubt) {
		t.Errorf("a task that calls was told %v", err)
	}
	if _, err := call(t, client, to, number("add", 1)); err != nil {
		t.Errorf("then: %v", err)
	}
}

// panicLog is a Logger that keeps the values of panics.
type panicLog chan string

func (panicLog) Enabled(engine.Level) bool { return true }

func (l panicLog) Log(_ engine.Level, event string, fields []engine.Field) {
	for _, f := range fields {
		if event == "panic" && f.Key == "value" {
			l <- f.Text
		}
	}
}

func panicIsTold(t *testing.T, s setting) {
	server, client := adder(t), newPeer(t)
	server.Handle("crash", func(*rpc.Request) (*message.Message, error) { panic("as asked") })
	server.HandleApart("crash apart", func(*rpc.Request) (*message.Message, error) { panic("as asked") })
	for _, typ := range []string{"crash", "crash apart"} {
		log := make(panicLog, 1)
		e := s.launch(t, engine.WithLogger(log))
		to := s.dial(t, e, client, s.listen(t, e, server))
		if _, err := call(t, client, to, message.New(typ)); !errors.Is(err, message.CodeInternal) {
			t.Errorf("%s: %v", typ, err)
		}
		if _, err := call(t, client, to, number("add", 1)); err != nil {
			t.Errorf("then: %v", err)
		}
		if value := await(t, "the log", log); !strings.Contains(value, "as asked") || !strings.Contains(value, "panicIsTold") {
			t.Errorf("logged was %q", value)
		}
	}
}

// callsAfterDial: a session is open a moment before its OnOpen.
func callsAfterDial(t *testing.T, s setting) {
	server, client := adder(t), newPeer(t)
	e := s.launch(t)
	address := s.listen(t, e, server)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			to := s.dial(t, e, client, address)
			if reply, err := call(t, client, to, number("add", n)); err != nil || numberOf(t, reply) != n+1 {
				t.Errorf("%v, %v", reply, err)
			}
			if n%2 == 0 {
				must(t, to.Abort())
			}
		})
	}
	all.Wait()
}

// clientComesBack makes calls over an engine's client: before it has a session, while the
// server ends, and after it has come back.
func clientComesBack(t *testing.T, s setting) {
	client := newPeer(t)
	begun := make(chan struct{}, 1)
	serve := func(address string) (*engine.Engine, string) {
		server := adder(t)
		server.HandleApart("slow", func(r *rpc.Request) (*message.Message, error) {
			begun <- struct{}{}
			<-r.Context().Done()
			return nil, nil
		})
		e := s.launch(t)
		if address == "" {
			return e, s.listen(t, e, server)
		}
		return e, s.listenAt(t, e, server, address)
	}
	e, address := serve("")
	c, err := s.launch(t).NewClient(s.network, address, session.Framed(client, frame.Default()))
	must(t, err)
	ask := func(typ string, n int) chan error {
		done := make(chan error, 1)
		must(t, client.Go(t.Context(), c, number(typ, n), func(reply *message.Message, err error) {
			if err == nil && numberOf(t, reply) != n+1 {
				t.Errorf("call %d was answered with %d", n, numberOf(t, reply))
			}
			done <- err
		}))
		return done
	}
	early := ask("add", 1)
	must(t, c.Connect(t.Context()))
	must(t, await(t, "the answer to the early call", early))
	for range 3 {
		must(t, await(t, "an answer", ask("add", 2)))
		lost := ask("slow", 3)
		await(t, "the request", begun)
		must(t, e.Close())
		if err := await(t, "the end of the call", lost); !errors.Is(err, rpc.ErrInDoubt) {
			t.Errorf("a call under way when the server ended: %v", err)
		}
		between := ask("add", 4)
		e, _ = serve(address)
		must(t, await(t, "the answer to the call made meanwhile", between))
	}
	must(t, c.Close())
	if _, err := call(t, client, c, number("add", 5)); !errors.Is(err, rpc.ErrUnsent) {
		t.Errorf("Call after Close: %v", err)
	}
	<-c.Done()
}

// upgrade has another handler go first.
func upgrade(t *testing.T, s setting) {
	server, client := adder(t), newPeer(t)
	hello := session.HandlerFunc(func(to *session.Session, f session.Frame) {
		to.SetHandler(server)
		server.OnOpen(to)
		if err := to.Send([]byte("welcome")); err != nil {
			t.Error(err)
		}
	})
	e := s.launch(t)
	address := s.listen(t, e, hello)
	welcome := make(chan struct{})
	to := s.dial(t, e, session.HandlerFunc(func(to *session.Session, f session.Frame) {
		to.SetHandler(client)
		client.OnOpen(to)
		close(welcome)
	}), address)
	must(t, to.Send([]byte("hello")))
	await(t, "the welcome", welcome)
	if reply, err := call(t, client, to, number("add", 1)); err != nil || numberOf(t, reply) != 2 {
		t.Errorf("%v, %v", reply, err)
	}
}

// heartbeatsMeasure: the end that has heartbeats, the client's or the server's, learns the
// round-trip time, though nobody makes a call. The other end asks nothing.
func heartbeatsMeasure(t *testing.T, s setting) {
	const beat = 20 * time.Millisecond
	on, off := engine.WithHeartbeat(beat, 100), engine.WithHeartbeat(0, 2)
	for name, options := range map[string]struct{ server, client engine.Option }{
		"server": {on, off},
		"client": {off, on},
	} {
		opened := make(chan *session.Session, 1)
		servers := s.launch(t, options.server)
		address := s.listen(t, servers, opener{newPeer(t), opened})
		clients := s.launch(t, options.client)
		ours := s.dial(t, clients, newPeer(t), address)
		theirs := await(t, "the session", opened)
		asks, answers, asking, answering := ours, theirs, clients, servers
		if name == "server" {
			asks, answers, asking, answering = theirs, ours, servers, clients
		}
		until(t, "the round trip of a heartbeat", func() bool { return asks.Stats().RTT > 0 })
		if n := asking.Stats().Pings; n == 0 {
			t.Errorf("%s: a round trip of %v, and no ping", name, asks.Stats().RTT)
		}
		if rtt, n := answers.Stats().RTT, answering.Stats().Pings; rtt != 0 || n != 0 {
			t.Errorf("%s: the other end has sent %d pings, and measured %v", name, n, rtt)
		}
	}
}
