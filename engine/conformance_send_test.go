package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Sending from any goroutine.

const (
	senders           = 64
	messagesPerSender = 32
	headerBytes       = 12 // sender, number, length, four bytes each
)

// messageOf is what a sender sends as its number-th message: a header, and bytes
// that fit no other message. Sizes spread evenly over the powers of two.
func messageOf(sender, number, largest int) []byte {
	r := rand.New(rand.NewPCG(uint64(sender), uint64(number)))
	size := 1 << r.IntN(17)
	if sender == 0 && number%16 == 3 {
		size = largest
	}
	size = min(size, largest)
	m := make([]byte, headerBytes, headerBytes+size)
	binary.LittleEndian.PutUint32(m[0:], uint32(sender))
	binary.LittleEndian.PutUint32(m[4:], uint32(number))
	binary.LittleEndian.PutUint32(m[8:], uint32(size))
	return append(m, patternBytes(uint64(sender)<<32|uint64(number), size)...)
}

// progress lets senders wait until a reader has moved on.
type progress struct {
	mu    sync.Mutex
	moved chan struct{}
}

// next is closed when the reader moves on after this call.
func (p *progress) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.moved
}

func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

func sendersKeepOrder(t *testing.T, s setting) {
	largest := amount(4<<20, 4<<20, 64<<10)
	v := s.serve(t, newProbe())
	c, opened := v.open()
	var read progress
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for number := range messagesPerSender {
				if err := sendPatiently(opened, messageOf(sender, number, largest), &read); err != nil {
					t.Errorf("sender %d: message %d: %v", sender, number, err)
					return
				}
			}
		})
	}
	var next [senders]int
	for range senders * messagesPerSender {
		if err := readMessage(c, &next, largest, &read); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if st := opened.Stats(); st.MessagesOut != senders*messagesPerSender {
		t.Errorf("MessagesOut is %d, want %d", st.MessagesOut, senders*messagesPerSender)
	}
}

// sendPatiently sends m, and tries again whenever the peer has read something.
func sendPatiently(s *session.Session, m []byte, read *progress) error {
	for {
		moved := read.next()
		err := s.Send(m)
		if !errors.Is(err, session.ErrBufferFull) {
			return err
		}
		<-moved
	}
}

// readMessage reads a message and checks that it is its sender's next.
func readMessage(c io.Reader, next *[senders]int, largest int, read *progress) error {
	var header [headerBytes]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return err
	}
	sender, number := binary.LittleEndian.Uint32(header[0:]), binary.LittleEndian.Uint32(header[4:])
	if sender >= senders || int(number) != next[sender] {
		return fmt.Errorf("message %d of sender %d came out of order", number, sender)
	}
	next[sender]++
	want := messageOf(int(sender), int(number), largest)
	got := make([]byte, len(want))
	copy(got, header[:])
	for at := headerBytes; at < len(got); {
		n, err := c.Read(got[at:])
		if err != nil {
			return err
		}
		at += n
		read.tell()
	}
	read.tell()
	if !bytes.Equal(got, want) {
		return fmt.Errorf("message %d of sender %d was changed on the way", number, sender)
	}
	return nil
}

func sendOwnedReleases(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	c, opened := v.open()
	var released [100]atomic.Int32
	var want []byte
	for i := range released {
		data := patternBytes(uint64(i), 1+i*300)
		if i%10 == 0 {
			data = nil // nothing to send, and still to be released
		}
		want = append(want, data...)
		must(t, opened.SendOwned(data, func() { released[i].Add(1) }))
	}
	must(t, opened.SendOwned([]byte("end"), nil))
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("owned bytes were changed on the way")
	}
	mustRead(t, c, "end")

	var late atomic.Int32 // queued when the session is aborted
	must(t, opened.SendOwned(make([]byte, 32<<20), func() { late.Add(1) }))
	must(t, opened.Abort())
	v.awaitClose(session.ReasonAborted)
	until(t, "released", func() bool { return late.Load() > 0 })
	for i := range released {
		if n := released[i].Load(); n != 1 {
			t.Errorf("message %d was released %d times", i, n)
		}
	}
	if late.Load() != 1 {
		t.Errorf("what was queued at the end was released %d times", late.Load())
	}
}

func sendAndCloseDelivers(t *testing.T, s setting) {
	data := patternBytes(1, 1<<20)
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		check(t, s.SendAndClose(data, session.ReasonProtocolError))
		if err := s.SendAndClose(data, nil); !errors.Is(err, session.ErrClosed) {
			t.Errorf("second SendAndClose: %v, want ErrClosed", err)
		}
	}
	v := s.serve(t, p)
	c := v.dial()
	_, err := io.WriteString(c, "x")
	must(t, err)
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("the peer got %d bytes of %d, or others", len(got), len(data))
	}
	c.Close()
	v.awaitClose(session.ReasonProtocolError)
}

// scatteredSegments sends a thousand owned segments through a send buffer of
// 4 KiB, so that nearly every write is short: from OnOpen, from OnMessage, and
// from outside.
func scatteredSegments(t *testing.T, s setting) {
	const segments = 1000
	parts := make([][]byte, segments)
	var whole []byte
	r := rand.New(rand.NewPCG(1, 2))
	for i := range parts {
		parts[i] = patternBytes(uint64(i), r.IntN(amount(3000, 800, 300)))
		whole = append(whole, parts[i]...)
	}
	var released atomic.Int32
	sendAll := func(s *session.Session) {
		for i, part := range parts {
			if err := s.SendOwned(part, func() { released.Add(1) }); err != nil {
				t.Errorf("segment %d: %v", i, err)
			}
		}
	}
	p := newProbe()
	p.onOpen = sendAll
	p.onMessage = func(s *session.Session, f session.Frame) { sendAll(s) }
	v := s.serve(t, p, withTinyOutput())
	c, opened := v.open()
	for _, from := range []func(){
		func() {},
		func() { _, err := io.WriteString(c, "again"); must(t, err) },
		func() { go sendAll(opened) },
	} {
		from()
		got := make([]byte, len(whole))
		_, err := io.ReadFull(c, got)
		must(t, err)
		if !bytes.Equal(got, whole) {
			t.Fatal("segments came out of order or changed")
		}
	}
	until(t, "every segment released", func() bool { return released.Load() == 3*segments })
}

// tinyBuffers gives accepted connections a send buffer of 4 KiB.
type tinyBuffers struct{ sock.System }

func (b tinyBuffers) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	conn, peer, errno := b.System.Accept(fd)
	if errno == 0 {
		_ = b.SetOption(conn, sock.SendBuffer, 4<<10) // the tests that need it see short writes
	}
	return conn, peer, errno
}

func withTinyOutput() engine.Option {
	return engine.WithDeps(inject.Deps{Sockets: tinyBuffers{sock.Kernel()}})
}

func bufferFull(t *testing.T, s setting) {
	const high, limit = 64 << 10, 256 << 10
	v := s.serve(t, newProbe(), engine.WithOutbound(16<<10, high, limit))
	c, opened := v.open()
	message := make([]byte, 10_000)
	sent, queued := 0, 0
	for refused := 0; refused < 2; { // in a row: the loop may find room meanwhile
		queued = opened.Stats().Queued
		err := opened.Send(message)
		if errors.Is(err, session.ErrBufferFull) {
			refused++
			continue
		}
		must(t, err)
		sent += len(message)
		refused = 0
	}
	if queued < high || queued > limit {
		t.Errorf("%d bytes are queued when Send refuses, want %d to %d", queued, high, limit)
	}
	until(t, "the engine counts as many queued bytes as its only session", func() bool {
		return v.engine.Stats().Queued == int64(opened.Stats().Queued)
	})
	_, err := io.CopyN(io.Discard, c, int64(sent))
	must(t, err)
	until(t, "queue empty", func() bool { return opened.Stats().Queued == 0 })
	must(t, opened.Send([]byte("again")))
	mustRead(t, c, "again")
}
