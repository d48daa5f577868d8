package buffer

// A chain and a bytes.Buffer are driven by the same program, a string of bytes
// that is read as operations. The fuzzer and the random test both write such
// programs.

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// queuedMax keeps a program from growing the queue without end, bytes.
const queuedMax = 1 << 20

// heldMax is how many segments the program shares with the chain at a time.
const heldMax = 4

type model struct {
	t     testing.TB
	prog  []byte
	pool  *Pool
	chain *Chain
	want  bytes.Buffer
	held  []*Segment // segments that the program holds a reference to
	bits  int        // sizes are below two to this power
	ink   []byte     // where content comes from, so that misplaced bytes show
	used  int        // how much of the ink
	owned int        // release functions handed out
	told  int        // and called
}

func newModel(t testing.TB, p *Pool) *model {
	m := &model{t: t, pool: p, chain: NewChain(p), bits: 17, ink: make([]byte, 256<<10)}
	rand.NewChaCha8([32]byte{}).Read(m.ink)
	return m
}

// next returns the next byte of the program, and zero behind its end.
func (m *model) next() int {
	if len(m.prog) == 0 {
		return 0
	}
	b := m.prog[0]
	m.prog = m.prog[1:]
	return int(b)
}

// refill keeps a random program going.
func (m *model) refill(rng *rand.Rand) {
	if len(m.prog) >= 32 {
		return
	}
	m.prog = make([]byte, 1024)
	for i := range m.prog {
		m.prog[i] = byte(rng.Uint32())
	}
}

// size returns a number with as many bits as the program likes, often near a
// size class.
func (m *model) size() int {
	bits := m.next() % (m.bits + 1)
	n := 1<<bits - 2 + m.next()%4 + m.next()<<bits>>9
	return max(n, 0)
}

func (m *model) bytes(n int) []byte {
	b := make([]byte, n)
	m.paint(b)
	return b
}

func (m *model) paint(b []byte) {
	for len(b) > 0 {
		n := copy(b, m.ink[m.used:])
		b = b[n:]
		m.used = (m.used + n) % len(m.ink)
	}
}

// step runs one operation on both.
func (m *model) step() {
	switch m.next() % 13 {
	case 0, 1:
		b := m.bytes(m.size())
		m.chain.Append(b)
		m.want.Write(b)
	case 2:
		b := m.bytes(m.size())
		m.owned++
		m.chain.AppendOwned(b, func() { m.told++ })
		m.want.Write(b)
	case 3, 4:
		m.appendViews()
	case 5, 6:
		n := min(m.size(), m.chain.Len())
		m.chain.Consume(n)
		m.want.Next(n)
	case 7:
		n := m.size()
		got := m.chain.Peek(n)
		want := m.want.Bytes()
		m.same("Peek", got, want[:min(n, len(want))])
		if len(got) > 0 && !m.chain.Front().Contains(got) {
			m.t.Fatal("Front is not where Peek looked")
		}
	case 8:
		m.unshare()
	case 9:
		limit := m.size()
		got := m.chain.Views(make([][]byte, 0, m.next()%32), limit)
		joined := bytes.Join(got, nil)
		if len(joined) > limit {
			m.t.Fatalf("Views gave %d bytes, %d allowed", len(joined), limit)
		}
		m.same("Views", joined, m.want.Bytes()[:len(joined)])
	case 10:
		got := make([]byte, m.size())
		want := make([]byte, len(got))
		n, err := m.chain.Read(got)
		wantN, wantErr := m.want.Read(want)
		if n != wantN || err != wantErr {
			m.t.Fatalf("Read = %d, %v; want %d, %v", n, err, wantN, wantErr)
		}
		m.same("Read", got[:n], want[:n])
	case 11:
		m.stream()
	case 12:
		m.search()
	}
	if over := m.chain.Len() - queuedMax; over > 0 {
		m.chain.Consume(over)
		m.want.Next(over)
	}
	if m.chain.Len() != m.want.Len() || m.chain.Empty() != (m.want.Len() == 0) {
		m.t.Fatalf("Len = %d, want %d", m.chain.Len(), m.want.Len())
	}
}

// appendViews queues up to three pieces of a held segment, which may touch,
// overlap or lie apart, and sometimes gives up the program's reference.
func (m *model) appendViews() {
	if len(m.held) < heldMax {
		s := m.pool.Get(m.size())
		m.paint(s.Bytes()[:min(s.Cap(), 2048)])
		m.held = append(m.held, s)
	}
	i := m.next() % len(m.held)
	s := m.held[i]
	mem := s.Bytes()[:min(s.Cap(), 2048)]
	at := 0
	for range 1 + m.next()%3 {
		from := min(at+m.next()%3, len(mem))
		to := min(from+m.next(), len(mem))
		m.chain.AppendView(s, mem[from:to])
		m.want.Write(mem[from:to])
		at = to
	}
	if m.next()%2 == 0 {
		s.Release()
		m.held = slices.Delete(m.held, i, i+1)
	}
}

// unshare makes the chain give up a held segment; then writing to it must not
// be seen in the chain.
func (m *model) unshare() {
	if len(m.held) == 0 {
		if s := m.chain.Front(); s != nil {
			m.chain.Unshare(s) // the chain may be the last owner
		}
		return
	}
	s := m.held[m.next()%len(m.held)]
	m.chain.Unshare(s)
	if s.Shared() {
		m.t.Fatal("segment still shared after Unshare")
	}
	m.paint(s.Bytes()[:min(s.Cap(), 2048)])
}

// searchMax bounds how much of a long queue is searched, bytes.
const searchMax = 16 << 10

// search looks for a piece of what is queued, whole or spoilt, and copies one.
func (m *model) search() {
	queued := m.want.Bytes()
	from := max(m.size(), len(queued)-searchMax)
	piece := make([]byte, m.next())
	n := m.chain.CopyTo(piece, from)
	m.same("CopyTo", piece[:n], queued[min(from, len(queued)):min(from+len(piece), len(queued))])

	sep := piece[:min(n, 1+m.next()%40)]
	if len(sep) > 0 && m.next()%4 == 0 {
		sep[len(sep)-1]++
	}
	from = max(from-m.size(), len(queued)-searchMax, 0)
	want := -1
	if from <= len(queued) {
		if want = bytes.Index(queued[from:], sep); want >= 0 {
			want += from
		}
	}
	if got := m.chain.Index(sep, from); got != want {
		m.t.Fatalf("Index of %q from %d is %d, want %d", sep, from, got, want)
	}
}

// stream moves bytes through the io interfaces, some of them back into the chain.
func (m *model) stream() {
	if m.next()%2 == 0 {
		b := m.bytes(m.size())
		n, err := m.chain.ReadFrom(&dribble{b, 1 + m.size()})
		if n != int64(len(b)) || err != nil {
			m.t.Fatalf("ReadFrom = %d, %v", n, err)
		}
		m.want.Write(b)
		return
	}
	limit := m.size()
	var out bytes.Buffer
	n, err := m.chain.WriteTo(writeFunc(func(p []byte) (int, error) {
		take := min(len(p), limit)
		limit -= take
		out.Write(p[:take])
		if take < len(p) {
			return take, io.ErrClosedPipe
		}
		return take, nil
	}))
	if n != int64(out.Len()) || err == nil != (m.chain.Empty()) {
		m.t.Fatalf("WriteTo = %d, %v; %d came through", n, err, out.Len())
	}
	m.same("WriteTo", out.Bytes(), m.want.Next(int(n)))
}

// dribble is a reader of at most step bytes at a time.
type dribble struct {
	b    []byte
	step int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.b[:min(len(d.b), d.step)])
	d.b = d.b[n:]
	return n, nil
}

func (m *model) same(what string, got, want []byte) {
	m.t.Helper()
	if !bytes.Equal(got, want) {
		m.t.Fatalf("%s: %d bytes differ from the %d wanted", what, len(got), len(want))
	}
}

// finish compares what is left, and lets go of everything.
func (m *model) finish() {
	m.t.Helper()
	m.chain.checkInvariants()
	m.same("rest", m.chain.Peek(m.chain.Len()), m.want.Bytes())
	m.chain.Reset()
	m.chain.checkInvariants()
	for _, s := range m.held {
		s.Release()
	}
	if m.told != m.owned && m.chain.Len() == 0 {
		m.t.Fatalf("%d of %d release functions called", m.told, m.owned)
	}
	mustBeEmpty(m.t, m.pool)
}

func FuzzChain(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 8, 1, 0, 5, 3, 0, 0, 7, 8, 3, 0})                         // append, consume, peek
	f.Add([]byte{2, 5, 1, 0, 2, 5, 1, 0, 7, 7, 0, 0, 5, 6, 0, 0})             // owned twice, peek across
	f.Add([]byte{3, 9, 0, 0, 0, 2, 0, 40, 0, 40, 1, 9, 1, 8, 0, 7, 6, 0, 0})  // views, unshare, peek
	f.Add([]byte{11, 0, 12, 3, 9, 4, 0, 0, 11, 1, 6, 0, 0, 10, 17, 0, 0})     // streams
	f.Add([]byte{2, 4, 1, 0, 2, 4, 1, 0, 12, 4, 0, 0, 8, 5, 1, 4, 0, 0})      // owned twice, search across
	f.Add([]byte{0, 17, 3, 255, 7, 17, 0, 0, 9, 16, 0, 0, 31, 5, 17, 3, 255}) // large
	f.Add(bytes.Repeat([]byte{3, 8, 2, 2, 1, 1, 9, 0, 7, 6, 1, 8, 0}, 12))
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 512 {
			return // short programs reach everything, and faster
		}
		m := newModel(t, NewPool(Config{Debug: true, MaxIdleBytes: 1 << 20}))
		m.prog = program
		for len(m.prog) > 0 {
			m.step()
			m.chain.checkInvariants()
			m.pool.checkInvariants()
		}
		m.finish()
	})
}

// A million random operations leave nothing behind.
func TestRandomOperations(t *testing.T) {
	const chains = 4
	steps := scale(1_000_000)
	pool := NewPool(Config{MaxIdleBytes: 1 << 20})
	var told, owned int
	for seed := range uint64(chains) {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := newModel(t, pool)
		m.bits = 13
		for range steps / chains {
			m.refill(rng)
			m.step()
		}
		m.finish()
		told, owned = told+m.told, owned+m.owned
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if told != owned || owned == 0 {
		t.Errorf("%d of %d release functions called", told, owned)
	}
	t.Logf("%+v", pool.Stats())
}

// The same with every check on, shorter.
func TestRandomOperationsDebug(t *testing.T) {
	pool := NewPool(Config{Debug: true, MaxIdleBytes: 256 << 10})
	rng := rand.New(rand.NewPCG(11, 7))
	m := newModel(t, pool)
	for range scale(20_000) {
		m.refill(rng)
		m.step()
		m.chain.checkInvariants()
	}
	pool.checkInvariants()
	m.finish()
}
