package rpc

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/internal/wait"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
)

// end is one end of a connection in memory: a session of a peer, driven by the test in
// place of a loop. It is its descriptor, too.
type end struct {
	t       testing.TB
	peer    *Peer
	shared  *transport.Shared
	session *session.Session
	driver  session.Driver
	other   *end // nil: the test is the other end
	reason  *session.CloseError

	mu     sync.Mutex
	out    []byte // what the kernel took and the other end has not got
	room   int    // how much it still takes
	panics []any
	onLoop bool
	during func() // runs within each write, before it takes anything
}

const plenty = 1 << 30

// newEnd makes a session that is open.
func newEnd(t testing.TB, p *Peer) *end {
	e := &end{t: t, peer: p, room: plenty}
	_, measured := t.(*testing.B)
	e.shared = &transport.Shared{
		Pool:      buffer.NewPool(buffer.Config{Debug: !measured}),
		TaskLimit: 100, UnreadLimit: 64 << 10,
		LowWater: 64 << 10, HighWater: 256 << 10, Cap: 1 << 20, QueuedCap: 1 << 40,
		Panicked: func(_ uint64, value any, _ []byte) { e.panics = append(e.panics, value) },
	}
	peer := netip.MustParseAddrPort("192.0.2.1:5555")
	e.session = session.New(7, e, peer, time.Unix(100, 0), session.NewBehaviour(session.Framed(p, frame.Default())))
	e.driver = session.Drive(e.session, transport.Key{})
	e.driver.Open()
	t.Cleanup(func() {
		if e.reason == nil {
			e.close()
		}
		// The test's context has ended, and so do its calls, on goroutines of their own: one that
		// is just sending its cancel gives its buffer back when it is done.
		until(t, "buffers given back", func() bool { return e.shared.Pool.Stats().InUse == 0 })
	})
	return e
}

// newPair makes two ends of one connection.
func newPair(t testing.TB, client, server *Peer) (c, s *end) {
	c, s = newEnd(t, client), newEnd(t, server)
	c.other, s.other = s, c
	return c, s
}

func newPeer(t testing.TB, opts ...Option) *Peer {
	t.Helper()
	p, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// flow carries bytes to and fro until there are none.
func (e *end) flow() {
	for {
		a, b := e.deliver(e.other.take()), e.other.deliver(e.take())
		if !a && !b {
			return
		}
	}
}

// take takes what the end has sent.
func (e *end) take() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.out
	e.out = nil
	return p
}

// deliver hands bytes over as a loop does, in its segment.
func (e *end) deliver(p []byte) bool {
	any := len(p) > 0
	for len(p) > 0 {
		segment := e.shared.Pool.Get(min(len(p), 64<<10))
		n := copy(segment.Bytes(), p)
		st := e.driver.Deliver(segment, segment.Bytes()[:n], 0)
		segment.Release()
		for st&transport.Pending != 0 && e.room > 0 {
			st = e.driver.Writable()
		}
		p = p[n:]
	}
	return any
}

// get delivers a message that the test has made.
func (e *end) get(m *message.Message) {
	p, err := message.Binary{}.Append(nil, m)
	if err != nil {
		e.t.Fatal(err)
	}
	e.frame(p)
}

func (e *end) frame(p []byte) {
	head, _ := frame.Default().Head(nil, p)
	e.deliver(append(head, p...))
}

// close ends the session as the loop does.
func (e *end) close() {
	e.reason, _, _ = e.driver.Close()
	e.Release()
}

// sent takes the session's output apart, as far as it is whole.
func (e *end) sent() (all []*message.Message) {
	e.t.Helper()
	in := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	in.Append(e.take())
	for in.Len() > 0 {
		cut, err := frame.Default().Cut(in, 0)
		if err != nil || cut.Need > 0 {
			e.t.Fatalf("cut: %v, %+v", err, cut)
		}
		in.Consume(cut.Head)
		m := new(message.Message)
		if err := (message.Binary{}).Parse(in.Peek(cut.Body), m); err != nil {
			e.t.Fatal(err)
		}
		in.Consume(cut.Body)
		all = append(all, m)
	}
	return all
}

// of makes a message of a kind.
func of(kind message.Kind, id uint64, typ string) *message.Message {
	return &message.Message{Header: message.Header{Kind: kind, Type: typ, Correlation: id}}
}

// msg is a message with a text.
func msg(typ, text string) *message.Message {
	return message.New(typ).Set("text", message.String(text))
}

func textOf(m *message.Message) string {
	text, _ := m.GetString("text")
	return text
}

// The methods below are transport.Link.

func (e *end) Acquire() {}
func (e *end) Release() {}
func (e *end) Attend()  {}

func (e *end) OnLoop() bool { return e.onLoop }

func (e *end) Send(p []byte) (int, syscall.Errno) { return e.Sendv([][]byte{p}) }

func (e *end) Sendv(views [][]byte) (n int, errno syscall.Errno) {
	if e.during != nil {
		e.during()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.room == 0 {
		return 0, syscall.EAGAIN
	}
	for _, v := range views {
		took := min(len(v), e.room)
		e.out = append(e.out, v[:took]...)
		e.room -= took
		n += took
	}
	return n, 0
}

func (e *end) ShutdownWrite() syscall.Errno     { return 0 }
func (e *end) Descriptor() int                  { return -1 }
func (e *end) SetOption(sock.Option, int) error { return nil }
func (e *end) Option(sock.Option) (int, error)  { return 0, nil }
func (e *end) LocalAddr() net.Addr              { return &net.TCPAddr{Port: 7} }
func (e *end) Shared() *transport.Shared        { return e.shared }

// outcome is how a call has ended.
type outcome struct {
	reply *message.Message
	err   error
}

// ask makes a call with Go, and returns where its end will be told.
func (e *end) ask(ctx context.Context, m *message.Message) chan outcome {
	e.t.Helper()
	ended := make(chan outcome, 2)
	err := e.peer.Go(ctx, e.session, m, func(reply *message.Message, err error) { ended <- outcome{reply, err} })
	if err != nil {
		e.t.Fatal(err)
	}
	return ended
}

// told wants a call to have ended, once.
func told(t testing.TB, ended chan outcome) outcome {
	t.Helper()
	select {
	case o := <-ended:
		if len(ended) > 0 {
			t.Fatal("a call has ended twice")
		}
		return o
	default:
		t.Fatal("the call has not ended")
		return outcome{}
	}
}

// await waits for the end of a call.
func await(t testing.TB, ended chan outcome) outcome {
	t.Helper()
	select {
	case o := <-ended:
		return o
	case <-time.After(patience):
		t.Fatal("the call does not end")
		return outcome{}
	}
}

// patience only turns a hang into a failure.
const patience = 30 * time.Second

// until waits for a condition that nobody announces.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, patience, what, holds)
}

func waiting(t testing.TB, ended chan outcome) {
	t.Helper()
	if len(ended) > 0 {
		o := <-ended
		t.Fatalf("the call has ended with %v, %v", o.reply, o.err)
	}
}
