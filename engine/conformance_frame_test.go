package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Framed sessions: messages come as they were sent, whatever the network made of them.

// serveFramed starts an engine whose listener frames what the probe is told and sends.
func (s setting) serveFramed(t testing.TB, p *probe, c frame.Codec, more ...engine.Option) *server {
	t.Helper()
	v := s.launch(t, more...)
	v.probe = p
	v.listener = v.listen(s.network, session.Framed(p.handler(), c))
	return v
}

// onWire is payloads as they go on the wire.
func onWire(t testing.TB, c frame.Codec, payloads ...[]byte) (all []byte) {
	t.Helper()
	for _, p := range payloads {
		var err error
		all, err = c.Head(all, p)
		must(t, err)
		all = c.Tail(append(all, p...))
	}
	return all
}

// framesEchoed: frames come back the same, whether they are sent byte for byte, in random
// pieces, or a thousand at once.
func framesEchoed(t *testing.T, s setting) {
	varint, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: frame.Varint})
	must(t, err)
	for name, codec := range map[string]frame.Codec{"prefix": frame.Default(), "varint": varint, "lines": frame.Lines()} {
		t.Run(name, func(t *testing.T) {
			v := s.serveFramed(t, newProbe(), codec)
			random := rand.New(rand.NewPCG(1, 2))
			payload := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + n%26)}, n) }
			var many, mixed [][]byte
			for n := range 1000 {
				many = append(many, payload(1+n%7))
			}
			for range 40 {
				mixed = append(mixed, payload(1+random.IntN(20)), payload(1+random.IntN(20_000)))
			}
			echo := func(stream []byte, messages int, write func(c stream)) {
				c, held := v.open()
				var writing sync.WaitGroup
				writing.Go(func() { write(c) })
				got := make([]byte, len(stream))
				_, err := io.ReadFull(c, got)
				must(t, err)
				writing.Wait()
				if !bytes.Equal(got, stream) {
					t.Error("what came back is not what was sent")
				}
				if n := held.Stats().MessagesIn; n != uint64(messages) {
					t.Errorf("%d messages, want %d", n, messages)
				}
				c.Close()
				v.awaitClose(session.ReasonPeerClosed)
			}
			inOne := onWire(t, codec, many...)
			echo(inOne, len(many), func(c stream) {
				_, err := c.Write(inOne)
				check(t, err)
			})
			dribble := onWire(t, codec, many[:100]...)
			echo(dribble, 100, func(c stream) {
				for i := range dribble {
					_, err := c.Write(dribble[i : i+1])
					check(t, err)
				}
			})
			pieces := onWire(t, codec, mixed...)
			echo(pieces, len(mixed), func(c stream) {
				for rest := pieces; len(rest) > 0; {
					n := min(len(rest), 1+random.IntN(9000))
					_, err := c.Write(rest[:n])
					check(t, err)
					rest = rest[n:]
				}
			})
		})
	}
}

// largeFrame: a frame of the largest size goes there and back, in one piece.
func largeFrame(t *testing.T, s setting) {
	size := amount(16<<20, 1<<20, 256<<10)
	v := s.serveFramed(t, newProbe(), frame.Default())
	c, held := v.open()
	payload := patternBytes(3, size)
	in := onWire(t, frame.Default(), payload)
	var writing sync.WaitGroup
	writing.Go(func() {
		_, err := c.Write(in)
		check(t, err)
	})
	got := make([]byte, len(in))
	_, err := io.ReadFull(c, got)
	must(t, err)
	writing.Wait()
	if !bytes.Equal(got, in) || held.Stats().MessagesIn != 1 {
		t.Errorf("%d messages came, and what came back is equal: %v", held.Stats().MessagesIn, bytes.Equal(got, in))
	}
}

// badFrames: a peer that breaks the rules gets the answers to what it sent before, and
// then the end.
func badFrames(t *testing.T, s setting) {
	small, err := frame.NewLengthPrefix(frame.LengthPrefix{Max: 100})
	must(t, err)
	v := s.serveFramed(t, newProbe(), small)
	for name, bad := range map[string]struct {
		bytes string
		want  error
	}{
		"too large": {"\x00\x00\x00\x65", frame.ErrTooLarge},
		"largest":   {"\xff\xff\xff\xff", frame.ErrTooLarge},
		"truncated": {"\x00\x00\x00\x05hell", io.ErrUnexpectedEOF},
		"no head":   {"\x00", io.ErrUnexpectedEOF},
	} {
		c := v.dial()
		good := onWire(t, small, []byte("first"), []byte("second"))
		_, err := c.Write(append(bytes.Clone(good), bad.bytes...))
		must(t, err)
		if bad.want == io.ErrUnexpectedEOF {
			must(t, c.CloseWrite())
		}
		mustRead(t, c, string(good))
		mustEnd(t, c)
		c.Close()
		end := v.awaitClose(session.ReasonProtocolError)
		if !errors.Is(end, bad.want) {
			t.Errorf("%s: closed because of %v, want %v", name, end, bad.want)
		}
	}
	until(t, "four closed for protocol errors", func() bool {
		return v.engine.Stats().Closed[session.ReasonProtocolError.String()] == 4
	})
}

// upgrade: a handshake in lines, and then frames, some of which came with it.
func upgrade(t *testing.T, s setting) {
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if string(f.Bytes()) == "upgrade" {
			check(t, s.Send([]byte("go on")))
			s.SetCodec(frame.Default())
			return
		}
		check(t, s.Send(f.Bytes()))
	}
	v := s.serveFramed(t, p, frame.Lines())
	c := v.dial()
	_, err := io.WriteString(c, "hello\r\nupgrade\n\x00\x00\x00\x06fra")
	must(t, err)
	mustRead(t, c, "hello\ngo on\n")
	_, err = io.WriteString(c, "med\x00\x00\x00\x01\n")
	must(t, err)
	mustRead(t, c, "\x00\x00\x00\x06framed\x00\x00\x00\x01\n")
}

// frameTimeout: a peer that does not finish a frame in time is closed, one that does is
// not, and neither is one that is not read.
func frameTimeout(t *testing.T, s setting) {
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if string(f.Bytes()) == "pause" {
			s.PauseRead()
		}
		check(t, s.Send(f.Bytes()))
	}
	v := s.serveFramed(t, p, frame.Lines(), engine.WithFrameTimeout(30*time.Millisecond))
	pausing, paused := v.open()
	_, err := io.WriteString(pausing, "pause\nbegun")
	must(t, err)
	mustRead(t, pausing, "pause\n")
	busy, _ := v.open()
	slow, held := v.open()
	var dripping sync.WaitGroup
	dripping.Go(func() {
		for {
			if _, err := io.WriteString(slow, "x"); err != nil || held.State() != session.Open {
				slow.Close() // nobody need linger
				return
			}
			mustEcho(t, busy, "whole\n") // as long as that takes
		}
	})
	end := await(t, "the end of the slow one", p.closed)
	dripping.Wait()
	if end.session != held || end.reason.Reason != session.ReasonFrameTimeout {
		t.Fatalf("session %v closed because of %v", end.session.ID(), end.reason)
	}
	mustEcho(t, busy, "still here\n")
	if paused.State() != session.Open {
		t.Error("one that is not read was closed")
	}
	_, err = io.WriteString(pausing, " and ended\n")
	must(t, err)
	paused.ResumeRead() // its time begins now, and the rest has come
	mustRead(t, pausing, "begun and ended\n")
}

// framesToSlowReader: large answers wait for a peer that does not read, each framed whole.
func framesToSlowReader(t *testing.T, s setting) {
	const size = 100_000
	v := s.serveFramed(t, newProbe(), frame.Default())
	c, held := v.open()
	narrow(t, c, held)
	if err := held.Send(make([]byte, 16<<20+1)); !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("Send of more than a frame can have: %v", err)
	}
	var want bytes.Buffer
	done := make(chan error, 20)
	for n := range 20 {
		payload := bytes.Repeat([]byte{byte(n)}, size+n)
		want.Write(onWire(t, frame.Default(), payload))
		switch n % 3 {
		case 0:
			must(t, held.Send(payload))
		case 1:
			must(t, held.SendOwned(payload, nil))
		default:
			must(t, held.SendNotify(payload, func(err error) { done <- err }))
		}
		clearSent(payload, n)
	}
	got := make([]byte, want.Len())
	_, err := io.ReadFull(c, got)
	must(t, err)
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("frames came damaged")
	}
	for range 6 {
		must(t, await(t, "completion", done))
	}
}

// clearSent overwrites what Send has copied.
func clearSent(payload []byte, n int) {
	if n%3 != 1 {
		clear(payload)
	}
}

// TestFramedVolume has many clients send frames of all sizes at once, and checks each
// answer.
func TestFramedVolume(t *testing.T) {
	for _, s := range []setting{
		{name: "pool", network: "tcp4", opts: []engine.Option{engine.WithLoops(2)}},
		{name: "inline", network: "unix", opts: []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(2)}},
	} {
		t.Run(s.name, func(t *testing.T) {
			v := s.serveFramed(t, newProbe(), frame.Default())
			var all sync.WaitGroup
			for i := range 16 {
				c := v.dial()
				frames := amount(5000, 500, 50)
				size := func(n int) int { return 4 + (n*7919+i)%(1<<(n%16)) }
				all.Go(func() {
					var head [4]byte
					for n := range frames {
						binary.BigEndian.PutUint32(head[:], uint32(size(n)))
						body := append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, size(n)-4)...)
						if _, err := c.Write(append(head[:], body...)); err != nil {
							t.Error(err)
							return
						}
					}
				})
				all.Go(func() {
					var head [4]byte
					body := make([]byte, 1<<17)
					for n := range frames {
						_, err := io.ReadFull(c, head[:])
						length := int(binary.BigEndian.Uint32(head[:]))
						if err != nil || length != size(n) {
							t.Errorf("frame %d has %d bytes, want %d; %v", n, length, size(n), err)
							return
						}
						if _, err := io.ReadFull(c, body[:length]); err != nil || int(binary.BigEndian.Uint32(body)) != n {
							t.Errorf("frame %d became %d; %v", n, binary.BigEndian.Uint32(body), err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// TestFault17LengthBombs: whatever a peer announces, nothing is allocated for it, and what
// cannot be is refused by name.
func TestFault17LengthBombs(t *testing.T) {
	varint, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: frame.Varint})
	must(t, err)
	wide, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: 8})
	must(t, err)
	for name, c := range map[string]struct {
		codec frame.Codec
		bytes string
		want  error // nil: it is allowed
	}{
		"just allowed":     {frame.Default(), "\x01\x00\x00\x00", nil},
		"one too many":     {frame.Default(), "\x01\x00\x00\x01", frame.ErrTooLarge},
		"32 ones":          {frame.Default(), "\xff\xff\xff\xff", frame.ErrTooLarge},
		"64 ones":          {wide, strings.Repeat("\xff", 8), frame.ErrTooLarge},
		"overlong varint":  {varint, "\x80\x80\x80\x00", frame.ErrBadLength},
		"endless varint":   {varint, strings.Repeat("\xff", 11), frame.ErrBadLength},
		"a varint's worst": {varint, strings.Repeat("\xff", 9) + "\x01", frame.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProbe()
			v := setting{network: "tcp4"}.serveFramed(t, p, c.codec)
			const peers = 50
			allocated := v.engine.Stats().Memory.Buffers.Allocated
			for range peers {
				client := v.dial()
				_, err := io.WriteString(client, c.bytes)
				must(t, err)
				if c.want == nil {
					continue
				}
				mustEnd(t, client)
				client.Close()
				if end := v.awaitClose(session.ReasonProtocolError); !errors.Is(end, c.want) {
					t.Errorf("closed because of %v, want %v", end, c.want)
				}
			}
			if c.want == nil {
				until(t, "all have come", func() bool { return v.engine.Stats().BytesIn == peers*uint64(len(c.bytes)) })
				if n := v.engine.Stats().Sessions; n != peers {
					t.Errorf("%d sessions, want %d", n, peers)
				}
			}
			if grown := v.engine.Stats().Memory.Buffers.Allocated - allocated; grown > peers*4096+1<<20 {
				t.Errorf("%d bytes were allocated for %d peers", grown, peers)
			}
		})
	}
}

// TestFault13StuckReaderInALargeGroup: what one of many does not read costs the others
// nothing that a count of messages shows, and the memory that it may.
func TestFault13StuckReaderInALargeGroup(t *testing.T) {
	const size = 2 << 10
	members, messages := amount(2000, 200, 50), amount(5000, 300, 300)
	const limit = 64 << 10
	config := session.GroupConfig{Slow: session.DropOldest, QueueBytes: limit}
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithGroups(func(string) session.GroupConfig { return config }))
	g := v.engine.Group("g")
	var readers sync.WaitGroup
	for i := range members {
		c, held := v.open()
		must(t, g.Join(held))
		if i == 0 {
			narrow(t, c, held)
			continue
		}
		readers.Go(func() {
			if n, err := io.CopyN(io.Discard, c, int64(size*messages)); err != nil {
				t.Errorf("after %d bytes: %v", n, err)
			}
		})
	}
	var most int64
	for n := range messages {
		must(t, g.PublishContext(t.Context(), session.Notice{Bytes: bytes.Repeat([]byte{byte(n)}, size)}))
		if n%100 == 99 {
			want := uint64((n + 1) * (members - 1))
			until(t, "delivered", func() bool { return g.Stats().Delivered >= want })
			most = max(most, v.engine.Stats().Memory.Buffers.InUse)
		}
	}
	readers.Wait()
	var st session.GroupStats
	until(t, "each message counted for each member", func() bool { // a loop counts after it has written
		st = g.Stats()
		return int(st.Delivered+st.Dropped)+int(st.Queued) == members*messages
	})
	if st.Dropped == 0 {
		t.Errorf("counted %+v", st)
	}
	if most > 2*limit+1<<20 {
		t.Errorf("%d bytes of buffers are in use, for a limit of %d", most, limit)
	}
	t.Logf("%d members, %d messages: %+v; %d bytes in use at most", members, messages, st, most)
}
