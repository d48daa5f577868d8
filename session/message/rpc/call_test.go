package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// echoPeer answers "echo" with the same text, "fail" with an error, "crash" with a panic,
// and keeps the Responder of "later".
type echoPeer struct {
	*Peer
	later []*Responder
}

// errSoldOut is an error of a program's own.
var errSoldOut = &message.Error{Code: message.CodeOwn + 1, Text: "sold out"}

func newEchoPeer(t testing.TB, opts ...Option) *echoPeer {
	p := &echoPeer{Peer: newPeer(t, opts...)}
	p.Handle("echo", func(r *Request) (*message.Message, error) { return msg("echoed", textOf(r.Message)), nil })
	p.Handle("fail", func(r *Request) (*message.Message, error) {
		return nil, &message.Error{Code: message.CodeBusy, Text: textOf(r.Message)}
	})
	p.Handle("odd", func(r *Request) (*message.Message, error) { return nil, errors.New(textOf(r.Message)) })
	p.Handle("sold out", func(r *Request) (*message.Message, error) { return nil, fmt.Errorf("shop: %w", errSoldOut) })
	p.Handle("crash", func(r *Request) (*message.Message, error) { panic("as asked") })
	p.Handle("later", func(r *Request) (*message.Message, error) {
		p.later = append(p.later, r.Later())
		return nil, nil
	})
	return p
}

func TestAnswers(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	for _, test := range []struct {
		kind, text string
		reply      string
		code       message.Code
		failure    string
	}{
		{kind: "echo", text: "hello", reply: "hello"},
		{kind: "echo", text: strings.Repeat("long", 100_000), reply: strings.Repeat("long", 100_000)},
		{kind: "echo"},
		{kind: "fail", text: "come again", code: message.CodeBusy, failure: "come again"},
		{kind: "odd", text: "no code", code: message.CodeUnknown, failure: "no code"},
		{kind: "odd", text: strings.Repeat("é", 1000), code: message.CodeUnknown, failure: strings.Repeat("é", 512)},
		{kind: "sold out", code: errSoldOut.Code, failure: errSoldOut.Text},
		{kind: "crash", code: message.CodeInternal, failure: "the handler has panicked"},
		{kind: "nobody's", code: message.CodeUnsupported, failure: "no handler for requests of this type"},
	} {
		ended := c.ask(t.Context(), msg(test.kind, test.text))
		waiting(t, ended)
		c.flow()
		o := told(t, ended)
		if test.code == 0 {
			if o.err != nil || textOf(o.reply) != test.reply {
				t.Errorf("%s: %v, %v", test.kind, o.reply, o.err)
			}
			continue
		}
		remote, e := (*RemoteError)(nil), (*message.Error)(nil)
		if !errors.As(o.err, &remote) || remote.Type != test.kind || !errors.As(o.err, &e) || e.Code != test.code || e.Text != test.failure || !errors.Is(o.err, test.code) {
			t.Errorf("%s: %v, want code %v", test.kind, o.err, test.code)
		}
	}
	if c.session.State() != session.Open || s.session.State() != session.Open {
		t.Error("a session has ended")
	}
	if len(s.panics) != 1 {
		t.Fatalf("the engine was told of panics %v", s.panics)
	}
	if told := s.panics[0].(*HandlerPanic); told.Value != "as asked" || !strings.Contains(string(told.Stack), "newEchoPeer") {
		t.Errorf("the engine was told of %v", told)
	}
	if st := client.Stats(); st.Answered != 3 || st.Failed != 6 || st.Unsent+st.InDoubt+st.Late != 0 {
		t.Errorf("client: %+v", st)
	}
	if st := server.Stats(); st.Requests != 9 || st.Refused != 1 || st.Serving != 0 || st.Panics != 1 {
		t.Errorf("server: %+v", st)
	}
}

// When a session ends, what the kernel may have taken is in doubt, and what it cannot
// have taken is not.
func TestSessionEnds(t *testing.T) {
	client := newPeer(t)
	c := newEnd(t, client)
	first := c.ask(t.Context(), msg("echo", "taken"))
	c.room = 20
	cut := c.ask(t.Context(), msg("echo", strings.Repeat("in the middle", 100)))
	queued := c.ask(t.Context(), msg("echo", "not taken"))
	if c.room != 0 {
		t.Fatal("the kernel takes more")
	}
	if n := client.InFlight(c.session); n != 3 {
		t.Fatalf("%d calls in flight", n)
	}
	_ = c.session.Abort()
	c.close()
	for name, want := range map[string]struct {
		ended   chan outcome
		outcome error
	}{"taken": {first, ErrInDoubt}, "cut": {cut, ErrUnsent}, "queued": {queued, ErrUnsent}} {
		o := told(t, want.ended)
		e := (*CallError)(nil)
		if !errors.As(o.err, &e) || e.Outcome != want.outcome || !errors.Is(o.err, want.outcome) || !errors.Is(o.err, session.ReasonAborted) {
			t.Errorf("%s: %v, want %v", name, o.err, want.outcome)
		}
		if both := errors.Is(o.err, ErrInDoubt) && errors.Is(o.err, ErrUnsent); both {
			t.Errorf("%s: %v is both", name, o.err)
		}
	}
	if st := client.Stats(); st.InDoubt != 1 || st.Unsent != 2 {
		t.Errorf("%+v", st)
	}
	if _, err := client.Call(t.Context(), c.session, msg("echo", "x")); !errors.Is(err, ErrUnsent) || !errors.Is(err, session.ErrClosed) {
		t.Errorf("Call after the end: %v", err)
	}
	if err := client.Go(t.Context(), c.session, msg("echo", "x"), nil); !errors.Is(err, ErrUnsent) || !errors.Is(err, session.ErrClosed) {
		t.Errorf("Go after the end: %v", err)
	}
	if client.InFlight(c.session) != 0 {
		t.Error("something is left")
	}
}

// A session ends while a request is just being written: nobody knows whether the kernel
// takes it.
func TestSessionEndsInAWrite(t *testing.T) {
	client := newPeer(t)
	c := newEnd(t, client)
	c.during = func() {
		c.during = nil
		c.close()
	}
	o := make(chan outcome, 2)
	err := client.Go(t.Context(), c.session, msg("echo", "perhaps"), func(reply *message.Message, err error) { o <- outcome{reply, err} })
	if !errors.Is(err, ErrInDoubt) || errors.Is(err, ErrUnsent) || len(o) != 0 {
		t.Errorf("%v, want in doubt", err)
	}
}

func TestLimitInFlight(t *testing.T) {
	client := newPeer(t, WithInFlight(3))
	server := newEchoPeer(t)
	c, _ := newPair(t, client, server.Peer)
	var all []chan outcome
	for range 3 {
		all = append(all, c.ask(t.Context(), msg("echo", "x")))
	}
	_, err := client.Call(t.Context(), c.session, msg("echo", "x"))
	e := (*LimitError)(nil)
	if !errors.As(err, &e) || e.Limit != 3 || !errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), "calls in flight: the limit is 3") {
		t.Errorf("Call above the limit: %v", err)
	}
	c.flow()
	for _, ended := range all {
		told(t, ended)
	}
	ended := c.ask(t.Context(), msg("echo", "x"))
	c.flow()
	told(t, ended)
}

// What cannot be sent is unsent, and the session goes on. Who can wait for room does.
func TestSendFails(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, _ := newPair(t, client, server.Peer)
	c.room = 0
	first := c.ask(t.Context(), msg("echo", strings.Repeat("x", 300<<10)))
	large := msg("echo", strings.Repeat("x", 900<<10))
	err := client.Go(t.Context(), c.session, large, nil)
	if !errors.Is(err, ErrUnsent) || !errors.Is(err, session.ErrBufferFull) {
		t.Errorf("Go without room: %v", err)
	}
	_, err = client.Call(t.Context(), c.session, msg("\x00", ""))
	if !errors.Is(err, ErrUnsent) || !errors.Is(err, message.ErrName) {
		t.Errorf("Call with a message that cannot be encoded: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = client.Call(short, c.session, large)
	if !errors.Is(err, ErrUnsent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call without room in time: %v", err)
	}
	limited := newPeer(t, WithTimeout(time.Millisecond))
	limited.OnOpen(c.session)
	if _, err = limited.Call(context.Background(), c.session, large); !errors.Is(err, ErrUnsent) || !errors.Is(err, ErrTimeout) {
		t.Errorf("Call without room in the peer's time: %v", err)
	}
	if n := client.InFlight(c.session) + limited.InFlight(c.session); n != 1 {
		t.Errorf("%d calls in flight", n)
	}
	waiting(t, first)
	called := make(chan error)
	go func() {
		_, err := client.Call(t.Context(), c.session, large)
		called <- err
	}()
	for client.InFlight(c.session) != 2 {
		time.Sleep(time.Millisecond)
	}
	c.room = plenty
	for len(called) == 0 {
		c.driver.Writable()
		c.flow()
		select {
		case err := <-called:
			if err != nil {
				t.Errorf("Call that waited for room: %v", err)
			}
			told(t, first)
			return
		default:
		}
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newPeer(t, WithTimeout(time.Minute))
		c := newEnd(t, client)
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cause := errors.New("changed my mind")
		abandoned, abandon := context.WithCancelCause(t.Context())

		short := c.ask(limited, msg("echo", "short"))
		long := c.ask(t.Context(), msg("echo", "long"))
		given := c.ask(abandoned, msg("echo", "given up"))
		var lefts []uint64
		sent := c.sent()
		for _, m := range sent {
			left, _ := m.GetUint(KeyTimeout)
			lefts = append(lefts, left)
		}
		if !slices.Equal(lefts, []uint64{1000, 0, 0}) {
			t.Errorf("the requests tell that there is left %v", lefts)
		}

		abandon(cause)
		synctest.Wait()
		if o := told(t, given); !errors.Is(o.err, cause) || !errors.Is(o.err, ErrInDoubt) {
			t.Errorf("cancelled: %v", o.err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if o := told(t, short); !errors.Is(o.err, context.DeadlineExceeded) || !errors.Is(o.err, ErrInDoubt) || errors.Is(o.err, ErrTimeout) {
			t.Errorf("after its deadline: %v", o.err)
		}
		waiting(t, long)
		_, err := client.Call(limited, c.session, msg("echo", "too late"))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnsent) {
			t.Errorf("Call with a context that has ended: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if o := told(t, long); !errors.Is(o.err, ErrTimeout) || !errors.Is(o.err, context.DeadlineExceeded) || !errors.Is(o.err, ErrInDoubt) {
			t.Errorf("after a minute: %v", o.err)
		}
		for i, m := range c.sent() {
			if want := sent[[]int{2, 0, 1}[i]].Correlation; m.Kind != message.KindCancel || m.Correlation != want || m.Len() != 0 {
				t.Errorf("then was sent %v, want a cancel of %d", m, want)
			}
		}
		waitingCall := make(chan error)
		again, stop := context.WithCancelCause(t.Context())
		go func() {
			_, err := client.Call(again, c.session, msg("echo", "x"))
			waitingCall <- err
		}()
		synctest.Wait()
		stop(cause)
		if err := <-waitingCall; !errors.Is(err, cause) || !errors.Is(err, ErrInDoubt) {
			t.Errorf("Call: %v", err)
		}
		if all := c.sent(); len(all) != 2 || all[1].Kind != message.KindCancel || all[0].Correlation != all[1].Correlation {
			t.Errorf("Call has sent %v", all)
		}
		for _, m := range sent {
			c.get(of(message.KindReply, m.Correlation, "late"))
		}
		if st := client.Stats(); st.Late != 3 || st.InDoubt != 4 || client.InFlight(c.session) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A handler must not wait for an answer that needs it.
func TestDeadlock(t *testing.T) {
	for name, onLoop := range map[string]bool{"on the loop": true, "on a worker": false} {
		t.Run(name, func(t *testing.T) {
			client, server := newPeer(t), newPeer(t)
			c, s := newPair(t, client, server)
			_, other := newPair(t, newPeer(t), server)
			var own, others, inDone error
			server.Handle("call back", func(r *Request) (*message.Message, error) {
				_, own = server.Call(t.Context(), r.Session(), msg("x", ""))
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, others = server.Call(ctx, other.session, msg("x", "")) // were it a deadlock, it would say so first
				return nil, nil
			})
			c.onLoop, s.onLoop, other.onLoop = onLoop, onLoop, onLoop
			for _, e := range []*end{c, s, other} {
				e.peer.lineOf(e.session).open()
			}
			err := client.Go(t.Context(), c.session, msg("call back", ""), func(*message.Message, error) {
				_, inDone = client.Ping(t.Context(), c.session)
			})
			if err != nil {
				t.Fatal(err)
			}
			c.flow()
			if !errors.Is(own, ErrDeadlock) || !errors.Is(own, ErrUnsent) || !errors.Is(inDone, ErrDeadlock) {
				t.Errorf("Call: %v; Ping in a completion: %v", own, inDone)
			}
			if got := errors.Is(others, ErrDeadlock); got != onLoop {
				t.Errorf("Call over another session: %v", others)
			}

			// Who is not in the way may call, though a handler runs.
			c.onLoop, s.onLoop = false, false
			ended := make(chan error, 1)
			server.Handle("hold", func(*Request) (*message.Message, error) {
				go func() {
					_, err := server.Call(t.Context(), s.session, msg("nobody's", ""))
					ended <- err
				}()
				for server.InFlight(s.session) == 0 {
					time.Sleep(time.Millisecond)
				}
				return nil, nil
			})
			c.ask(t.Context(), msg("hold", ""))
			for len(ended) == 0 { // the call is in flight a moment before it is sent
				c.flow()
				runtime.Gosched()
			}
			if e := (*RemoteError)(nil); !errors.As(<-ended, &e) {
				t.Errorf("Call on another goroutine: %v", err)
			}
		})
	}
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newPeer(t), newPeer(t)
		c, s := newPair(t, client, server)
		wait := func(d time.Duration) {
			time.Sleep(d)
			c.flow()
			synctest.Wait()
		}
		type result struct {
			trip time.Duration
			err  error
		}
		pinged := make(chan result, 1)
		go func() {
			trip, err := client.Ping(t.Context(), c.session)
			pinged <- result{trip, err}
		}()
		synctest.Wait()
		wait(20 * time.Millisecond)
		if r := <-pinged; r.err != nil || r.trip != 20*time.Millisecond {
			t.Errorf("Ping: %v", r)
		}
		if trip := c.session.Stats().RTT; trip != 20*time.Millisecond {
			t.Errorf("RTT: %v", trip)
		}

		client.OnPing(c.session)
		server.OnPing(s.session)
		time.Sleep(time.Millisecond)
		client.OnPing(c.session) // the first is not answered yet
		wait(2 * time.Millisecond)
		for _, e := range []*end{c, s} {
			if trip := e.session.Stats().RTT; trip != 3*time.Millisecond {
				t.Errorf("the heartbeat's RTT is %v", trip)
			}
		}
		client.OnPing(c.session)
		wait(4 * time.Millisecond)
		if trip := c.session.Stats().RTT; trip != 4*time.Millisecond {
			t.Errorf("the next heartbeat's RTT is %v", trip)
		}
		if st := client.Stats(); st.Answered != 1 || st.Late != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A session whose handler is not the peer, or not yet, has its calls ended with it all the
// same, and is forgotten.
func TestForeignSession(t *testing.T) {
	client := newPeer(t)
	for name, meanwhile := range map[string]func(e *end){
		"never":      func(*end) {},
		"then it is": func(e *end) { e.session.SetHandler(client); client.OnOpen(e.session) },
	} {
		other := newPeer(t)
		e := newEnd(t, other)
		ended := make(chan outcome, 2)
		must(t, client.Go(t.Context(), e.session, msg("x", ""), func(_ *message.Message, err error) { ended <- outcome{err: err} }))
		meanwhile(e)
		_ = e.session.Abort()
		e.close()
		if o := await(t, ended); !errors.Is(o.err, ErrInDoubt) || !errors.Is(o.err, session.ReasonAborted) {
			t.Errorf("%s: %v", name, o.err)
		}
		client.lines.Range(func(any, any) bool {
			t.Errorf("%s: the session is remembered", name)
			return true
		})
	}
	if _, err := client.Call(t.Context(), nil, msg("x", "")); !errors.Is(err, ErrNoSession) || !errors.Is(err, ErrUnsent) {
		t.Errorf("Call over nothing: %v", err)
	}
}

// Whoever gives a session to another handler ends the peer's calls over it; what is queued
// may still leave.
func TestSessionGivenAway(t *testing.T) {
	client := newPeer(t)
	c := newEnd(t, client)
	c.room = 0
	ended := c.ask(t.Context(), msg("x", ""))
	client.OnClose(c.session, errors.New("given away"))
	if o := told(t, ended); !errors.Is(o.err, ErrInDoubt) || errors.Is(o.err, ErrUnsent) {
		t.Errorf("%v", o.err)
	}
}

// A completion that panics costs nobody else anything.
func TestCompletionPanics(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	crash := func(*message.Message, error) { panic("in a completion") }
	if err := client.Go(t.Context(), c.session, msg("echo", "x"), crash); err != nil {
		t.Fatal(err)
	}
	ended := c.ask(t.Context(), msg("echo", "y"))
	c.flow()
	if o := told(t, ended); o.err != nil || c.session.State() != session.Open || len(c.panics) != 1 {
		t.Errorf("%v, %v, panics %v", o.err, c.session.State(), c.panics)
	}
	if err := client.Go(t.Context(), c.session, msg("echo", "x"), crash); err != nil {
		t.Fatal(err)
	}
	ended = c.ask(t.Context(), msg("echo", "y"))
	s.take()
	c.close()
	told(t, ended)
	if st := client.Stats(); st.Panics != 2 || st.InDoubt != 2 {
		t.Errorf("%+v", st)
	}
}
