package rpc

import (
	"errors"
	"testing"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// FuzzReceive gives a peer any messages in any order, mixed with what its own program does: no
// panic, no call that ends twice or never, each request answered at most once, no more kept than the limits allow.
//
// The input is a program, two bytes for each step: what to do, and a number.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 2, 1, 3, 0, 3, 1})                         // calls that are answered
	f.Add([]byte{0, 0, 1, 0, 1, 0, 9, 0, 1, 0})                               // answered twice
	f.Add([]byte{5, 1, 5, 2, 6, 1, 7, 0, 7, 1, 7, 2})                         // requests, cancelled and answered
	f.Add([]byte{5, 1, 5, 1})                                                 // an id that is used twice
	f.Add([]byte{4, 0, 8, 0, 3, 0, 10, 7})                                    // pings
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 5, 1, 5, 2, 5, 3, 5, 4}) // limits
	f.Add([]byte{0, 0, 11, 3, 1, 0})                                          // garbage
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 2000 {
			return
		}
		newFuzzer(t).run(program)
	})
}

const fuzzLimit = 4

type fuzzer struct {
	t     *testing.T
	peer  *echoPeer
	end   *end
	ids   []uint64 // of the peer's own requests, as they went out
	calls int      // that were taken
	ended int
	asked map[uint64]int // requests to the peer, by id
}

func newFuzzer(t *testing.T) *fuzzer {
	z := &fuzzer{t: t, asked: map[uint64]int{}}
	z.peer = newEchoPeer(t, WithInFlight(fuzzLimit), WithServing(fuzzLimit))
	z.end = newEnd(t, z.peer.Peer)
	return z
}

func (z *fuzzer) run(program []byte) {
	for ; len(program) >= 2; program = program[2:] {
		open := z.end.session.State() == session.Open
		z.step(program[0], program[1], program[2:])
		if !open {
			break
		}
		z.look()
	}
	for _, a := range z.peer.later {
		_ = a.Reply(nil)
	}
	z.look()
	_ = z.end.session.Abort()
	z.end.close()
	if z.ended != z.calls || z.peer.InFlight(z.end.session) != 0 {
		z.t.Fatalf("of %d calls %d have ended", z.calls, z.ended)
	}
	if st := z.peer.Stats(); st.Serving != 0 || int(st.Panics) < len(z.end.panics) {
		z.t.Fatalf("at the end %+v, panics %v", st, z.end.panics)
	}
}

func (z *fuzzer) step(what, n byte, rest []byte) {
	id := uint64(n)
	if len(z.ids) > 0 && n&0x80 == 0 {
		id = z.ids[int(n)%len(z.ids)]
	}
	switch what % 12 {
	case 0:
		err := z.peer.Go(z.t.Context(), z.end.session, msg("x", ""), func(*message.Message, error) { z.ended++ })
		if limit := (*LimitError)(nil); err == nil {
			z.calls++
		} else if !errors.As(err, &limit) && !errors.Is(err, session.ErrClosed) {
			z.t.Fatal(err)
		}
	case 1:
		z.get(of(message.KindReply, id, "x"))
	case 2:
		z.get(of(message.KindRequest, id, "").Fail(message.Code(n)))
	case 3:
		z.get(of(message.KindPong, id, ""))
	case 4:
		z.peer.OnPing(z.end.session)
	case 5:
		m := of(message.KindRequest, uint64(n>>4), []string{"echo", "later", "fail", "nobody's", "crash"}[n%5])
		if n&8 != 0 {
			m.Set(KeyTimeout, message.Uint(n))
		}
		z.get(m)
	case 6:
		z.get(of(message.KindCancel, uint64(n>>4), ""))
	case 7:
		if len(z.peer.later) > 0 {
			_ = z.peer.later[int(n)%len(z.peer.later)].Reply(msg("x", ""))
		}
	case 8:
		z.get(of(message.KindPing, uint64(n), ""))
	case 9:
		z.get(of(message.Kind(n%uint8(message.Kinds)), uint64(n), "echo"))
	case 10:
		z.frame([]byte{0x10 | n&7, n >> 3})
	case 11:
		z.frame(rest[:min(len(rest), int(n))])
	}
}

func (z *fuzzer) get(m *message.Message) {
	p, err := message.Binary{}.Append(nil, m)
	if err != nil {
		z.t.Fatal(err)
	}
	z.frame(p)
}

// frame delivers any bytes.
func (z *fuzzer) frame(p []byte) {
	m := new(message.Message)
	if err := (message.Binary{}).Parse(p, m); err == nil && m.Kind == message.KindRequest {
		z.asked[m.Correlation]++
	}
	z.end.frame(p)
}

// look reads what the peer has sent.
func (z *fuzzer) look() {
	for _, m := range z.end.sent() {
		switch m.Kind {
		case message.KindRequest:
			z.ids = append(z.ids, m.Correlation)
		case message.KindReply, message.KindError:
			if z.asked[m.Correlation]--; z.asked[m.Correlation] < 0 {
				z.t.Fatalf("request %d has more than one answer", m.Correlation)
			}
		}
	}
	l := z.peer.lineOf(z.end.session)
	if z.peer.Stats().Serving > fuzzLimit || len(l.serving) > fuzzLimit || l.table.len() > fuzzLimit || len(l.table.slots) > fuzzLimit {
		z.t.Fatalf("more is kept than the limits allow: %+v", z.peer.Stats())
	}
	if z.ended > z.calls {
		z.t.Fatalf("%d calls have ended, of %d", z.ended, z.calls)
	}
}
