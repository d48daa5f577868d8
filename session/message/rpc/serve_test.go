package rpc

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
)

func TestResponder(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	first, second, third := c.ask(t.Context(), msg("later", "1")), c.ask(t.Context(), msg("later", "2")), c.ask(t.Context(), msg("later", "3"))
	c.flow()
	if len(server.later) != 3 || server.Stats().Serving != 3 {
		t.Fatalf("%d responders", len(server.later))
	}
	ctx := server.later[1].Context()
	must(t, server.later[1].Reply(msg("answer", "two")))
	must(t, server.later[0].Fail(&message.Error{Code: message.CodeBusy, Text: "one"}))
	must(t, server.later[2].ReplyContext(t.Context(), nil))
	for i, again := range []error{server.later[0].Reply(nil), server.later[1].Fail(errors.New("x")), server.later[2].Reply(nil)} {
		if !errors.Is(again, ErrAnswered) {
			t.Errorf("%d is answered again: %v", i, again)
		}
	}
	if ctx.Err() == nil || server.later[0].Context().Err() == nil {
		t.Error("the context goes on after the answer")
	}
	c.flow()
	if o := told(t, second); o.err != nil || textOf(o.reply) != "two" {
		t.Errorf("%v, %v", o.reply, o.err)
	}
	if o := told(t, first); !errors.Is(o.err, message.CodeBusy) {
		t.Errorf("%v, %v", o.reply, o.err)
	}
	if o := told(t, third); o.err != nil || textOf(o.reply) != "" {
		t.Errorf("%v, %v", o.reply, o.err)
	}
	if st := server.Stats(); st.Serving != 0 {
		t.Errorf("%+v", st)
	}

	last := c.ask(t.Context(), msg("later", ""))
	c.flow()
	ctx = server.later[3].Context()
	_ = s.session.Abort()
	s.close()
	if context.Cause(ctx) != error(s.reason) {
		t.Errorf("the context of a session that has closed ended with %v", context.Cause(ctx))
	}
	if err := server.later[3].Reply(nil); !errors.Is(err, session.ErrClosed) {
		t.Errorf("Reply after the end: %v", err)
	}
	if st := server.Stats(); st.Serving != 0 || len(last) != 0 {
		t.Errorf("%+v", st)
	}
}

// Many answer the same request, and one does.
func TestAnsweredOnce(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	const requests, answerers = 200, 4
	var all []chan outcome
	for range requests {
		all = append(all, c.ask(t.Context(), msg("later", "")))
	}
	c.flow()
	var wins atomic.Int64
	var done sync.WaitGroup
	for i := range answerers {
		done.Go(func() {
			for _, r := range server.later {
				var err error
				switch i % 2 {
				case 0:
					err = r.Reply(nil)
				case 1:
					err = r.Fail(ErrTimeout)
				}
				if err == nil {
					wins.Add(1)
				} else if !errors.Is(err, ErrAnswered) {
					t.Error(err)
				}
				runtime.Gosched()
			}
		})
	}
	done.Wait()
	_ = s.session.Flush()
	c.flow()
	for _, ended := range all {
		told(t, ended)
	}
	if n := wins.Load(); n != requests || client.Stats().Late != 0 {
		t.Errorf("%d requests had %d answers, of which %d came late", requests, n, client.Stats().Late)
	}
}

// An answer for which there is no room can be tried again.
func TestAnswerWithoutRoom(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	first, second := c.ask(t.Context(), msg("later", "")), c.ask(t.Context(), msg("later", ""))
	c.flow()
	s.room = 0
	must(t, server.later[0].Reply(msg("x", strings.Repeat("x", 500<<10))))
	if err := server.later[1].Reply(msg("x", strings.Repeat("x", 700<<10))); !errors.Is(err, session.ErrBufferFull) {
		t.Fatalf("Reply without room: %v", err)
	}
	if server.Stats().Serving != 1 {
		t.Error("the request counts as answered")
	}
	waited := make(chan error)
	go func() { waited <- server.later[1].ReplyContext(t.Context(), msg("x", strings.Repeat("x", 700<<10))) }()
	for a := server.later[1]; ; runtime.Gosched() {
		a.mu.Lock()
		trying := a.state == answering
		a.mu.Unlock()
		if trying {
			break
		}
	}
	if err := server.later[1].Reply(nil); !errors.Is(err, ErrAnswered) {
		t.Errorf("Reply while somebody else waits to: %v", err)
	}
	s.room = plenty
	s.driver.Writable()
	must(t, <-waited)
	c.flow()
	if o := told(t, first); o.err != nil {
		t.Error(o.err)
	}
	if o := told(t, second); o.err != nil || len(textOf(o.reply)) != 700<<10 {
		t.Error(o.err)
	}
}

// A handler whose answer cannot be sent answers with that; if even that cannot be sent,
// its session ends.
func TestAnswerCannotBeSent(t *testing.T) {
	client, server := newPeer(t), newPeer(t)
	server.Handle("large", func(*Request) (*message.Message, error) { return msg("x", strings.Repeat("x", 17<<20)), nil })
	server.Handle("bad", func(*Request) (*message.Message, error) { return msg("\x00", ""), nil })
	c, s := newPair(t, client, server)
	for kind, code := range map[string]message.Code{"large": message.CodeTooLarge, "bad": message.CodeInternal} {
		ended := c.ask(t.Context(), msg(kind, ""))
		c.flow()
		if o := told(t, ended); !errors.Is(o.err, code) {
			t.Errorf("%s: %v", kind, o.err)
		}
	}
	s.shared.QueuedCap = 0
	ended := c.ask(t.Context(), msg("large", ""))
	c.flow()
	if s.session.State() == session.Open || server.Stats().Serving != 0 {
		t.Errorf("the session is %v, %d are served", s.session.State(), server.Stats().Serving)
	}
	s.close()
	if s.reason.Reason != session.ReasonOverLimit || !errors.Is(s.reason, session.ErrBufferFull) {
		t.Errorf("the session ended because of %v", s.reason)
	}
	waiting(t, ended)
}

// An answer that does not get room before its deadline is dropped: nobody waits for it. The
// session goes on.
func TestAnswerTooLate(t *testing.T) {
	server := newPeer(t)
	server.HandleApart("large", func(*Request) (*message.Message, error) { return msg("x", strings.Repeat("x", 900<<10)), nil })
	s := newEnd(t, server)
	s.room = 0
	must(t, s.session.Send(make([]byte, 1<<20)))
	s.session.KeepReading(true)
	s.get(of(message.KindRequest, 5, "large").Set(KeyTimeout, message.Uint[uint64](1)))
	for server.Stats().Serving > 0 {
		runtime.Gosched()
	}
	if s.session.State() != session.Open {
		t.Errorf("the session is %v", s.session.State())
	}
}

func TestServingLimits(t *testing.T) {
	for what, opts := range map[string][]Option{
		"requests being answered for a session: the limit is 2": {WithServing(2)},
		"requests being answered: the limit is 2":               {WithServingTotal(2)},
	} {
		client, server := newPeer(t), newEchoPeer(t, opts...)
		server.HandleApart("apart", func(*Request) (*message.Message, error) { return nil, nil })
		c, _ := newPair(t, client, server.Peer)
		c.ask(t.Context(), msg("later", ""))
		c.ask(t.Context(), msg("later", ""))
		for _, kind := range []string{"later", "echo", "apart"} {
			ended := c.ask(t.Context(), msg(kind, ""))
			c.flow()
			e := (*message.Error)(nil)
			if o := told(t, ended); !errors.As(o.err, &e) || e.Code != message.CodeBusy || !strings.Contains(e.Text, what) {
				t.Errorf("%s: %v", kind, o.err)
			}
		}
		must(t, server.later[0].Reply(nil))
		ended := c.ask(t.Context(), msg("echo", ""))
		c.flow()
		if o := told(t, ended); o.err != nil {
			t.Error(o.err)
		}
	}
}

// A cancel reaches the context of the handler; the place is taken until the handler is
// done.
func TestCancel(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	c, s := newPair(t, client, server.Peer)
	begun := make(chan *Request, 1)
	ended := make(chan error, 1)
	server.HandleApart("slow", func(r *Request) (*message.Message, error) {
		begun <- r
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return msg("too late", ""), nil
	})
	for _, kind := range []string{"slow", "later"} {
		ctx, cancel := context.WithCancel(t.Context())
		call := c.ask(ctx, msg(kind, ""))
		c.flow()
		var r *Request
		if kind == "slow" {
			r = <-begun
		}
		cancel()
		if o := await(t, call); !errors.Is(o.err, context.Canceled) {
			t.Errorf("%s: the call ended with %v", kind, o.err)
		}
		for server.Stats().Cancelled == 0 {
			c.flow() // the cancel is sent on a goroutine of its own
		}
		if kind == "slow" {
			if err := <-ended; !errors.Is(err, ErrCancelled) {
				t.Errorf("the handler's context ended with %v", err)
			}
			for r.responder.line.session == nil || server.Stats().Serving > 0 {
				runtime.Gosched()
			}
			server.counts.cancels.Store(0)
			continue
		}
		if n := server.Stats().Serving; n != 1 {
			t.Errorf("%d are served before the handler is done", n)
		}
		a := server.later[0]
		if err := context.Cause(a.Context()); !errors.Is(err, ErrCancelled) {
			t.Errorf("the context that is asked for later has ended with %v", err)
		}
		if err := a.Reply(nil); !errors.Is(err, ErrCancelled) {
			t.Errorf("Reply: %v", err)
		}
		if err := a.Reply(nil); !errors.Is(err, ErrAnswered) {
			t.Errorf("Reply again: %v", err)
		}
	}
	if n := server.Stats().Serving; n != 0 || len(s.sent()) != 0 {
		t.Errorf("%d are served; or an answer was sent", n)
	}
}

// The deadline of a call is that of the handler's context.
func TestDeadlineTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newPeer(t, WithTimeout(0)), newEchoPeer(t)
		c, _ := newPair(t, client, server.Peer)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c.ask(ctx, msg("later", ""))
		c.ask(t.Context(), msg("later", ""))
		c.flow()
		limited, free := server.later[0], server.later[1]
		if at, ok := limited.Context().Deadline(); !ok || time.Until(at) != 3*time.Second {
			t.Errorf("the deadline is %v, %v", at, ok)
		}
		if at, ok := free.Context().Deadline(); ok {
			t.Errorf("a call without a deadline has one: %v", at)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if err := limited.Context().Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("then the context ends with %v", err)
		}
		must(t, limited.Reply(nil))
		must(t, free.Reply(nil))
	})
}

// Handlers apart may wait, and call back over the same session.
func TestApart(t *testing.T) {
	client, server := newPeer(t), newPeer(t)
	client.Handle("name?", func(*Request) (*message.Message, error) { return msg("name", "Ada"), nil })
	server.HandleApart("greet", func(r *Request) (*message.Message, error) {
		name, err := server.Call(r.Context(), r.Session(), msg("name?", ""))
		if err != nil {
			return nil, err
		}
		return msg("greeting", "hello "+textOf(name)), nil
	})
	server.HandleApart("crash", func(*Request) (*message.Message, error) { panic("apart") })
	server.HandleApart("exit", func(*Request) (*message.Message, error) { runtime.Goexit(); return nil, nil })
	c, s := newPair(t, client, server)
	for kind, want := range map[string]string{"greet": "hello Ada", "crash": "the handler has panicked", "exit": "the handler has panicked"} {
		ended := c.ask(t.Context(), msg(kind, ""))
		for len(ended) == 0 {
			c.flow()
			runtime.Gosched()
		}
		o := told(t, ended)
		if e := (*message.Error)(nil); errors.As(o.err, &e) {
			if e.Text != want || e.Code != message.CodeInternal {
				t.Errorf("%s: %v", kind, e)
			}
		} else if o.err != nil || textOf(o.reply) != want {
			t.Errorf("%s: %v, %v", kind, o.reply, o.err)
		}
	}
	for len(s.panics) == 0 || server.Stats().Serving > 0 { // they end after they have answered
		runtime.Gosched()
		s.driver.Status() // what was posted is run
	}
	if len(s.panics) != 1 {
		t.Errorf("panics %v, %+v", s.panics, server.Stats())
	}
}

// What breaks the protocol ends the session, by name.
func TestBadMessages(t *testing.T) {
	for name, test := range map[string]struct {
		make func(call uint64) *message.Message
		want string
	}{
		"a request without an id": {
			func(uint64) *message.Message { return of(message.KindRequest, 0, "echo") },
			"rpc: bad request with correlation id 0: it cannot be answered",
		},
		"a request with an id in use": {
			func(uint64) *message.Message { return of(message.KindRequest, 5, "later") },
			"rpc: bad request with correlation id 5: so has one without an answer",
		},
		"likewise, apart": {
			func(uint64) *message.Message { return of(message.KindRequest, 5, "apart") },
			"rpc: bad request with correlation id 5: so has one without an answer",
		},
		"a pong for a request": {
			func(call uint64) *message.Message { return of(message.KindPong, call, "") },
			"rpc: bad pong with correlation id ID: that was asked something else",
		},
		"no message": {nil, "message: binary, byte 1: format 0xf0, not 0x10"},
	} {
		server := newEchoPeer(t)
		block := make(chan struct{})
		server.HandleApart("apart", func(*Request) (*message.Message, error) { <-block; return nil, nil })
		s := newEnd(t, server.Peer)
		call := s.ask(t.Context(), msg("x", ""))
		id := s.sent()[0].Correlation
		s.get(of(message.KindRequest, 5, "later"))
		waiting(t, call)
		if test.make != nil {
			s.get(test.make(id))
		} else {
			s.frame([]byte("\xff"))
		}
		if s.session.State() == session.Open {
			t.Errorf("%s is taken", name)
		}
		s.close()
		want := strings.ReplaceAll(test.want, "ID", strconv.FormatUint(id, 10))
		if s.reason.Reason != session.ReasonProtocolError || s.reason.Err.Error() != want {
			t.Errorf("%s: %v, want %s", name, s.reason.Err, want)
		}
		told(t, call)
		close(block)
		for _, a := range server.later {
			_ = a.Reply(nil)
		}
		for server.Stats().Serving > 0 {
			runtime.Gosched()
		}
	}
}

// A request with a time that is none is refused, and the handler does not see a good one.
func TestTimeoutValue(t *testing.T) {
	server := newEchoPeer(t)
	s := newEnd(t, server.Peer)
	s.get(of(message.KindRequest, 5, "later").Set(KeyTimeout, message.String("soon")))
	if all := s.sent(); len(all) != 1 || all[0].Correlation != 5 || !errors.Is(all[0].Err(), message.CodeInvalid) {
		t.Errorf("answered with %v", all)
	}
	server.Handle("seen", func(r *Request) (*message.Message, error) {
		if r.Message.Has(KeyTimeout) || textOf(r.Message) != "text" {
			t.Errorf("the handler sees %v", r.Message)
		}
		return nil, nil
	})
	seen := of(message.KindRequest, 5, "seen").Set(KeyTimeout, message.Uint[uint64](1000))
	s.get(seen.Set("text", message.String("text")))
	for i, n := range []uint64{1, 1 << 40, 1 << 63} {
		s.get(of(message.KindRequest, uint64(6+i), "later").Set(KeyTimeout, message.Uint(n)))
		a := server.later[i]
		if _, limited := (&Request{responder: Responder{deadline: a.deadline}}).Deadline(); limited == (n == 1<<63) {
			t.Errorf("%d ms: %v", n, a.deadline)
		}
		must(t, a.Reply(nil))
	}
}

// What is no part of a call goes to who wants it.
func TestEvents(t *testing.T) {
	var got []string
	events := func(_ *session.Session, m *message.Message) { got = append(got, m.Kind.String()+" "+m.Type) }
	deaf := newPeer(t)
	for _, s := range []*end{newEnd(t, newPeer(t, WithEvents(events))), newEnd(t, deaf)} {
		s.get(of(message.KindEvent, 0, "first"))
		s.get(of(message.KindEvent, 7, "second"))
		s.get(of(message.KindError, 0, "third"))
		s.get(of(message.KindPing, 9, ""))
		s.get(of(message.KindEvent, 0, "fourth"))
		if all := s.sent(); len(all) != 1 || all[0].Kind != message.KindPong || all[0].Correlation != 9 {
			t.Errorf("answered with %v", all)
		}
	}
	if want := []string{"event first", "event second", "error third", "event fourth"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := deaf.Stats().Ignored; n != 4 {
		t.Errorf("%d were ignored", n)
	}
}

// The envelope of an answer is the handler's, as far as that has one.
func TestEnvelopes(t *testing.T) {
	client, server := newPeer(t), newPeer(t)
	server.Handle("swap", func(r *Request) (*message.Message, error) { return r.Message.Reply(), nil })
	server.Handle("own", func(*Request) (*message.Message, error) { return message.New("other").From("me").To("you"), nil })
	server.Handle("none", func(*Request) (*message.Message, error) { return new(message.Message), nil })
	c, _ := newPair(t, client, server)
	for typ, want := range map[string]message.Header{
		"swap": {Type: "swap", Source: "book", Target: "desk", Version: 3},
		"own":  {Type: "other", Source: "me", Target: "you"},
		"none": {Type: "none"},
	} {
		m := msg(typ, "text").From("desk").To("book")
		m.Version = 3
		before := m.Clone()
		ended := c.ask(t.Context(), m)
		if !m.Equal(before) {
			t.Errorf("the request was changed: %v", m)
		}
		c.flow()
		o := told(t, ended)
		if o.err != nil {
			t.Fatal(o.err)
		}
		want.Kind, want.Correlation = message.KindReply, o.reply.Correlation
		if o.reply.Header != want {
			t.Errorf("%s: %+v, want %+v", typ, o.reply.Header, want)
		}
	}
}

// Nothing of one request is sent with another.
func TestRequestsAreApart(t *testing.T) {
	client := newPeer(t)
	c := newEnd(t, client)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for i := range 10 {
		key := strconv.Itoa(i)
		c.ask(ctx, message.New("x").Set(key, message.Null()))
		got := c.sent()[0]
		got.Delete(KeyTimeout)
		if !got.Has(key) || got.Len() != 1 {
			t.Fatalf("sent %v", got)
		}
		must(t, c.peer.lineOf(c.session).send(message.Header{Kind: message.KindPing}))
		if got := c.sent()[0]; got.Len() != 0 {
			t.Fatalf("sent %v", got)
		}
	}
}

// A message may be asked by many at once, with a deadline or without.
func TestSharedRequest(t *testing.T) {
	client := newPeer(t)
	c := newEnd(t, client)
	m := msg("x", "shared")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				asked := t.Context()
				if i%2 == 0 {
					asked = ctx
				}
				if err := client.Go(asked, c.session, m, func(*message.Message, error) {}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	limited := 0
	for _, got := range c.sent() {
		if got.Has(KeyTimeout) {
			limited++
			got.Delete(KeyTimeout)
		}
		if textOf(got) != "shared" || got.Len() != 1 {
			t.Fatalf("sent %v", got)
		}
	}
	if limited != 200 || !m.Equal(msg("x", "shared")) {
		t.Errorf("%d with a deadline; the message is %v", limited, m)
	}
}

// TestPlacesEndWithTheSession: requests whose answer was left to a Responder that never
// answers take up their places until the session closes.
func TestPlacesEndWithTheSession(t *testing.T) {
	server := newPeer(t, WithServingTotal(2))
	var left []*Responder
	server.Handle("wait", func(r *Request) (*message.Message, error) {
		left = append(left, r.Later())
		return nil, nil
	})
	server.Handle("now", func(r *Request) (*message.Message, error) { return nil, nil })
	for range 2 {
		s := newEnd(t, server)
		s.get(of(message.KindRequest, 5, "wait"))
		s.close()
	}
	if n := server.Stats().Serving; n != 0 {
		t.Errorf("%d are served, and no session is left", n)
	}
	for _, a := range left {
		if err := a.Reply(nil); !errors.Is(err, session.ErrClosed) {
			t.Errorf("a reply after the end of the session: %v", err)
		}
		if a.Context().Err() == nil {
			t.Error("its context is not done")
		}
	}
	s := newEnd(t, server)
	s.get(of(message.KindRequest, 5, "now"))
	if all := s.sent(); len(all) != 1 || all[0].Err() != nil {
		t.Errorf("a request over a new session is answered with %v", all)
	}
}

// TestPlacesApartEndWithTheSession: the same where the handler returns, and leaves the
// answer to its Responder, after the session has closed.
func TestPlacesApartEndWithTheSession(t *testing.T) {
	server := newPeer(t)
	closed, returned := make(chan struct{}), make(chan *Responder, 1)
	server.HandleApart("wait", func(r *Request) (*message.Message, error) {
		<-closed
		returned <- r.Later()
		return nil, nil
	})
	s := newEnd(t, server)
	s.get(of(message.KindRequest, 5, "wait"))
	s.close()
	if n := server.Stats().Serving; n != 1 {
		t.Errorf("%d are served while a handler runs", n)
	}
	close(closed)
	a := <-returned
	for server.Stats().Serving != 0 {
		runtime.Gosched() // until the handler's goroutine has gone on
	}
	if err := a.Reply(nil); !errors.Is(err, session.ErrClosed) {
		t.Errorf("a reply after that: %v", err)
	}
}

// TestPlaceOfLaterThatIsAnsweredTwice: a handler has left the answer to a Responder, and answers
// as well while that one is trying, who then fails. The place ends with the session.
func TestPlaceOfLaterThatIsAnsweredTwice(t *testing.T) {
	server := newPeer(t)
	answering := make(chan struct{})
	left := make(chan *Responder, 1)
	server.HandleApart("wait", func(r *Request) (*message.Message, error) {
		left <- r.Later()
		<-answering
		return message.New("late"), nil
	})
	s := newEnd(t, server)
	s.get(of(message.KindRequest, 5, "wait"))
	a := <-left
	err := a.reply(func([]byte) error {
		close(answering)
		for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() { // until the handler's answer is refused
			a.line.mu.Lock()
			apart := a.apart
			a.line.mu.Unlock()
			if !apart {
				break
			}
		}
		return context.DeadlineExceeded
	}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	s.close()
	if n := server.Stats().Serving; n != 0 {
		t.Errorf("%d are served, and no session is left", n)
	}
}

// TestPlaceOfAnswerThatFailsAtTheEnd: somebody is answering when the session closes, and
// what he sends cannot be sent for another reason.
func TestPlaceOfAnswerThatFailsAtTheEnd(t *testing.T) {
	server := newPeer(t)
	var a *Responder
	server.Handle("wait", func(r *Request) (*message.Message, error) {
		a = r.Later()
		return nil, nil
	})
	s := newEnd(t, server)
	s.get(of(message.KindRequest, 5, "wait"))
	err := a.reply(func([]byte) error {
		s.close()
		return session.ErrBufferFull
	}, nil)
	if !errors.Is(err, session.ErrBufferFull) {
		t.Errorf("got %v", err)
	}
	if n := server.Stats().Serving; n != 0 {
		t.Errorf("%d are served, and no session is left", n)
	}
	if err := a.Reply(nil); !errors.Is(err, session.ErrClosed) {
		t.Errorf("another reply: %v", err)
	}
}

// TestSpareMessageKeepsNoFrame: names may be a part of a large frame, and must not be kept
// with the message that the next frame is read into.
func TestSpareMessageKeepsNoFrame(t *testing.T) {
	p := newPeer(t, WithFormat(message.JSON{}))
	s := newEnd(t, p)
	ping := []byte(`{"kind":"ping","type":"x","correlation":2` + strings.Repeat(" ", 1<<20) + `}`)
	head, err := frame.Default().Head(nil, ping)
	must(t, err)
	s.deliver(append(head, ping...))
	s.take() // the pong
	spare := p.lineOf(s.session).spare
	if spare == nil {
		t.Fatal("no message is kept")
	}
	if h := spare.Header; h != (message.Header{}) {
		t.Errorf("%+v is kept", h)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
