package rpc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// comeback is a Connected as an engine's client is one: while it has no session what is
// sent waits, up to a limit.
type comeback struct {
	mu     sync.Mutex
	now    *session.Session
	queue  []queued
	limit  int
	closed bool
}

type queued struct {
	p    []byte
	done func(error)
}

func (c *comeback) Session() *session.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *comeback) SendNotify(p []byte, done func(error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return session.ErrClosed
	}
	if len(c.queue) == c.limit {
		return session.ErrBufferFull
	}
	c.queue = append(c.queue, queued{append([]byte(nil), p...), done})
	return nil
}

// connect gives it a session, which gets what has waited.
func (c *comeback) connect(t *testing.T, e *end) {
	c.mu.Lock()
	queue := c.queue
	c.now, c.queue = e.session, nil
	c.mu.Unlock()
	for _, q := range queue {
		must(t, e.session.SendNotify(q.p, q.done))
	}
	e.driver.Status() // completions are told
}

// disconnect ends its session.
func (c *comeback) disconnect(e *end) {
	_ = e.session.Abort()
	e.close()
	c.mu.Lock()
	c.now = nil
	c.mu.Unlock()
}

// close ends it: what waits is not sent.
func (c *comeback) close() {
	c.mu.Lock()
	c.closed = true
	queue := c.queue
	c.mu.Unlock()
	for _, q := range queue {
		q.done(session.ErrClosed)
	}
}

func (c *comeback) ask(t *testing.T, p *Peer, kind string) chan outcome {
	t.Helper()
	ended := make(chan outcome, 2)
	must(t, p.Go(t.Context(), c, msg(kind, kind), func(reply *message.Message, err error) { ended <- outcome{reply, err} }))
	return ended
}

// Calls made while there is no session leave with the next one; those under way when it
// ends are in doubt; those made then go on with the one after it.
func TestRoaming(t *testing.T) {
	client, server := newPeer(t), newEchoPeer(t)
	home := &comeback{limit: 3}
	early := home.ask(t, client, "echo")
	lost := home.ask(t, client, "later")
	c, s := newPair(t, client, server.Peer)
	home.connect(t, c)
	straight := home.ask(t, client, "echo")
	doubtful := home.ask(t, client, "later")
	if client.InFlight(c.session) != 2 || client.roaming.table.len() != 2 {
		t.Fatalf("%d calls over the session, %d others", client.InFlight(c.session), client.roaming.table.len())
	}
	c.flow()
	for _, ended := range []chan outcome{early, straight} {
		if o := told(t, ended); o.err != nil || textOf(o.reply) != "echo" {
			t.Errorf("%v, %v", o.reply, o.err)
		}
	}
	_ = c.session.Close() // still its session, but it takes no more
	between := home.ask(t, client, "echo")
	home.disconnect(c)
	s.close()
	for _, ended := range []chan outcome{lost, doubtful} {
		if o := told(t, ended); !errors.Is(o.err, ErrInDoubt) || !errors.Is(o.err, session.ReasonLocalClose) {
			t.Errorf("the session has ended: %v", o.err)
		}
	}
	waiting(t, between)
	after := home.ask(t, client, "echo")
	c, _ = newPair(t, client, server.Peer)
	home.connect(t, c)
	c.flow()
	for _, ended := range []chan outcome{between, after} {
		if o := told(t, ended); o.err != nil {
			t.Errorf("%v, %v", o.reply, o.err)
		}
	}
	home.disconnect(c)

	unsent := home.ask(t, client, "echo")
	home.ask(t, client, "echo")
	home.ask(t, client, "echo")
	if _, err := client.Call(t.Context(), home, msg("echo", "")); !errors.Is(err, ErrUnsent) || !errors.Is(err, session.ErrBufferFull) {
		t.Errorf("Call with a full queue: %v", err)
	}
	home.close()
	if o := told(t, unsent); !errors.Is(o.err, ErrUnsent) || !errors.Is(o.err, session.ErrClosed) {
		t.Errorf("closed: %v", o.err)
	}
	if _, err := client.Call(t.Context(), home, msg("echo", "")); !errors.Is(err, ErrUnsent) || !errors.Is(err, session.ErrClosed) {
		t.Errorf("Call after the end: %v", err)
	}
	if n := client.roaming.table.len(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// A request that the kernel may have taken when its session ended is not sent again over
// the next one.
func TestRoamingNeverTwice(t *testing.T) {
	client := newPeer(t)
	home := &comeback{limit: 1}
	c := newEnd(t, client)
	home.now = c.session
	c.during = func() {
		c.during = nil
		c.close()
	}
	if _, err := client.Call(t.Context(), home, msg("x", "")); !errors.Is(err, ErrInDoubt) || len(home.queue) != 0 {
		t.Errorf("%v, and %d wait", err, len(home.queue))
	}
}

// What becomes of a request that waited is told by the Sender.
func TestRoamingOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		told error
		want error
	}{
		"not taken":       {&session.CloseError{Reason: session.ReasonPeerReset, Unsent: 9}, ErrUnsent},
		"perhaps taken":   {&session.CloseError{Reason: session.ReasonPeerReset, Unsent: 9, InWrite: 9}, ErrInDoubt},
		"taken, and over": {nil, ErrInDoubt},
	} {
		client := newPeer(t)
		home := &comeback{limit: 1}
		ended := home.ask(t, client, "echo")
		home.queue[0].done(test.told)
		if o := told(t, ended); !errors.Is(o.err, test.want) {
			t.Errorf("%s: %v", name, o.err)
		}
	}
}

// An answer counts only over the session of the Sender.
func TestRoamingAnswers(t *testing.T) {
	client := newPeer(t)
	home := &comeback{limit: 1}
	ended := home.ask(t, client, "echo")
	request := new(message.Message)
	must(t, message.Binary{}.Parse(home.queue[0].p, request))
	answer := request.Reply().Set("text", message.String("answer"))
	stranger := newEnd(t, client)
	stranger.get(answer)
	waiting(t, ended)
	c := newEnd(t, client)
	home.now = c.session // it has left, and the completion is not told yet
	stranger.get(answer)
	waiting(t, ended)
	c.get(answer)
	if o := told(t, ended); o.err != nil || textOf(o.reply) != "answer" {
		t.Errorf("%v, %v", o.reply, o.err)
	}
	home.queue[0].done(nil)
	if st := client.Stats(); st.Late != 2 || st.Answered != 1 {
		t.Errorf("%+v", st)
	}
}

func TestRoamingDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newPeer(t)
		home := &comeback{limit: 10}
		ctx, cancel := context.WithCancel(t.Context())
		limited := home.ask(t, client, "echo")
		ended := make(chan error)
		go func() {
			_, err := client.Call(ctx, home, msg("echo", ""))
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrInDoubt) {
			t.Errorf("cancelled: %v", err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if o := told(t, limited); !errors.Is(o.err, ErrTimeout) {
			t.Errorf("after 30 s: %v", o.err)
		}
		kinds := map[message.Kind]int{}
		for _, q := range home.queue {
			m := new(message.Message)
			must(t, message.Binary{}.Parse(q.p, m))
			kinds[m.Kind]++
			q.done(nil)
		}
		if kinds[message.KindRequest] != 2 || kinds[message.KindCancel] != 2 {
			t.Errorf("waiting are %v", kinds)
		}
	})
}
