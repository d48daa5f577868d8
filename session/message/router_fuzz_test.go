package message_test

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

// FuzzRouter gives a router frames with any bytes, in any pieces. What its handlers get is what
// the format parses; whoever asked is told of what is no message.
func FuzzRouter(f *testing.F) {
	event, request := message.New("known").Set("a", message.Int(1)), message.NewRequest("other", 7).From("x").To("y")
	for _, m := range []*message.Message{event, request} {
		p := messagetest.Encode(f, message.Binary{}, m)
		f.Add(p, p, uint8(3))
	}
	f.Add([]byte{}, []byte{0x10, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, first, second []byte, piece uint8) {
		var got []*message.Message
		var refused []error
		note := func(_ *session.Session, m *message.Message) { got = append(got, m.Clone()) }
		r := message.NewRouter(message.Binary{}).Handle("known", note).Default(note).
			Malformed(func(_ *session.Session, err error) { refused = append(refused, err) })
		l := &deaf{shared: &transport.Shared{
			Pool: buffer.NewPool(buffer.Config{Debug: true}), UnreadLimit: 64 << 10,
			LowWater: 1 << 10, HighWater: 4 << 10, Cap: 1 << 20, QueuedCap: 1 << 30,
			Panicked: func(_ uint64, value any, stack []byte) { t.Errorf("%v\n%s", value, stack) },
		}}
		behaviour := session.NewBehaviour(session.Framed(r, frame.Default()))
		d := session.Drive(session.New(1, l, netip.AddrPort{}, time.Time{}, behaviour), transport.Key{})
		d.Open()
		var wire []byte
		var want []*message.Message
		var wrong []error
		for _, p := range [][]byte{first, second, first} {
			head, err := frame.Default().Head(nil, p)
			if err != nil {
				t.Fatal(err)
			}
			wire = append(append(wire, head...), p...)
			m := new(message.Message)
			if err := (message.Binary{}).Parse(p, m); err != nil {
				wrong = append(wrong, err)
			} else {
				want = append(want, m)
			}
		}
		for p := range slices.Chunk(wire, 1+int(piece)) {
			segment := l.shared.Pool.Get(len(p))
			d.Deliver(segment, segment.Bytes()[:copy(segment.Bytes(), p)], 0)
			segment.Release()
		}
		if !slices.EqualFunc(got, want, (*message.Message).Equal) {
			t.Fatalf("handlers got %v, want %v", got, want)
		}
		if !slices.EqualFunc(refused, wrong, func(a, b error) bool { return a.Error() == b.Error() }) {
			t.Fatalf("told of %v, want %v", refused, wrong)
		}
		d.Close()
		if st := l.shared.Pool.Stats(); st.InUse != 0 {
			t.Fatalf("buffers left: %+v", st)
		}
	})
}

// deaf is a descriptor that takes nothing.
type deaf struct{ shared *transport.Shared }

func (*deaf) Acquire()                            {}
func (*deaf) Release()                            {}
func (*deaf) Attend()                             {}
func (*deaf) OnLoop() bool                        { return false }
func (*deaf) Send([]byte) (int, syscall.Errno)    { return 0, syscall.EPIPE }
func (*deaf) Sendv([][]byte) (int, syscall.Errno) { return 0, syscall.EPIPE }
func (*deaf) ShutdownWrite() syscall.Errno        { return 0 }
func (*deaf) Descriptor() int                     { return -1 }
func (*deaf) SetOption(sock.Option, int) error    { return nil }
func (*deaf) Option(sock.Option) (int, error)     { return 0, nil }
func (*deaf) LocalAddr() net.Addr                 { return nil }
func (l *deaf) Shared() *transport.Shared         { return l.shared }
