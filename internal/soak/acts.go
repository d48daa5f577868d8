//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/weirnet/weir/session"
)

// The acts but those of groups, which are in fanout.go. Rates bound how much of the
// machine they take.

const (
	connectRate = 150 // new connections per second, of one act
	atOnce      = 8   // connections of churn that are there at the same time
)

// churn: clients come, send some messages, want them back and leave.
type churn struct {
	Connections, Messages, Size int
}

func drawChurn(d dice) act { return churn{d.between(50, 250), d.between(10, 50), d.size(4 << 10)} }

func (a churn) play(ctx context.Context, s *stage) error {
	p := newPace(connectRate)
	defer p.stop()
	return each(a.Connections, atOnce, func(int) error {
		p.wait()
		if ctx.Err() != nil {
			return nil
		}
		l, err := s.dial(false)
		if err != nil {
			return err
		}
		defer l.Close()
		for i := range a.Messages {
			if err := l.ask(numbered(uint64(i), a.Size)); err != nil {
				return err
			}
		}
		return l.finish()
	})
}

// resets: clients come, send something and are gone.
type resets struct {
	Connections int
	Seed        uint64 // of what each has sent by then
}

func drawResets(d dice) act { return resets{d.between(50, 150), d.Uint64()} }

func (a resets) play(ctx context.Context, s *stage) error {
	p := newPace(connectRate)
	defer p.stop()
	r := rand.New(rand.NewPCG(a.Seed, 0))
	for range a.Connections {
		p.wait()
		if ctx.Err() != nil {
			return nil
		}
		l, err := s.dial(false)
		if err != nil {
			return err
		}
		switch r.IntN(3) {
		case 0: // with nothing
		case 1: // within a frame
			stream := frameOf(nil, numbered(0, 4<<10))
			_, err = l.Write(stream[:1+r.IntN(len(stream)-1)])
		case 2: // with answers that were not read
			for i := range 4 {
				if err == nil {
					err = l.send(numbered(uint64(i), 16<<10))
				}
			}
		}
		l.reset()
		if err != nil {
			return err
		}
	}
	return nil
}

// slowReader: a client sends a lot, reads it late and in small pieces, and gets it all.
type slowReader struct{ Frames, Size int }

func drawSlowReader(d dice) act { return slowReader{d.between(20, 80), 32 << 10} }

func (a slowReader) play(ctx context.Context, s *stage) error {
	l, err := s.dial(true)
	if err != nil {
		return err
	}
	defer l.reset()
	defer context.AfterFunc(ctx, l.reset)()
	sent := make(chan error, 1)
	go func() {
		for i := range a.Frames {
			if err := l.send(numbered(uint64(i), a.Size)); err != nil {
				sent <- fmt.Errorf("message %d: %w", i, err)
				return
			}
		}
		sent <- l.CloseWrite()
	}()
	p := newPace(50)
	defer p.stop()
	var got []byte
	piece := make([]byte, 16<<10)
	for at := 0; at < a.Frames; {
		p.wait()
		n, err := l.read(piece)
		if err != nil {
			return orDone(ctx, fmt.Errorf("before answer %d: %w", at, err))
		}
		for got = append(got, piece[:n]...); len(got) >= headBytes+a.Size; at++ {
			if number, err := numberOf(got[headBytes : headBytes+a.Size]); err != nil || number != uint64(at) {
				return fmt.Errorf("got answer %d, want %d: %v", number, at, err)
			}
			got = got[headBytes+a.Size:]
		}
	}
	if err := <-sent; err != nil {
		return orDone(ctx, err)
	}
	if n, err := l.read(piece); err != io.EOF {
		return orDone(ctx, fmt.Errorf("after the end: %d bytes, %v", n, err))
	}
	return nil
}

// read reads what there is, within the patience.
func (l *link) read(p []byte) (int, error) {
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return l.Read(p)
}

// orDone is err, unless the act was told to end.
func orDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// stuckReader: clients send and never read. The server reads no more, and after its
// patience it resets them.
type stuckReader struct{ Connections int }

func drawStuckReader(d dice) act { return stuckReader{d.between(1, 3)} }

// stuckMax is more than kernel and server take of a client that does not read, bytes.
const stuckMax = 32 << 20

func (a stuckReader) play(ctx context.Context, s *stage) error {
	s.ends(session.ReasonSlowConsumer.String(), a.Connections)
	return each(a.Connections, a.Connections, func(int) error {
		l, err := s.dial(true)
		if err != nil {
			return err
		}
		defer l.Close()
		if err := l.ask([]byte{verbNarrow}); err != nil {
			return err
		}
		defer context.AfterFunc(ctx, l.reset)()
		message := numbered(0, 64<<10)
		for sent := 0; sent < stuckMax; sent += len(message) {
			if err := l.send(message); err != nil {
				if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
					return nil
				}
				return orDone(ctx, fmt.Errorf("not closed after %d bytes: %w", sent, err))
			}
		}
		return fmt.Errorf("the server has taken %d bytes", stuckMax)
	})
}

// halfClose: a client sends a lot, and FIN behind it, and all is answered.
type halfClose struct{ Connections, Bytes int }

func drawHalfClose(d dice) act { return halfClose{d.between(1, 5), d.between(100_000, 1_000_000)} }

func (a halfClose) play(ctx context.Context, s *stage) error {
	return each(a.Connections, a.Connections, func(int) error {
		l, err := s.dial(false)
		if err != nil {
			return err
		}
		defer l.reset()
		defer context.AfterFunc(ctx, l.reset)()
		var stream []byte
		for i := 0; len(stream) < a.Bytes; i++ {
			stream = frameOf(stream, numbered(uint64(i), 10_000))
		}
		if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			_, err := l.Write(stream)
			sent <- errors.Join(err, l.CloseWrite())
		}()
		got, err := io.ReadAll(l)
		if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, stream) {
			err = fmt.Errorf("sent %d bytes and got %d, or others", len(stream), len(got))
		}
		return orDone(ctx, err)
	})
}

// badPeers: handlers that panic, frames that are too long, frames that do not end.
type badPeers struct{ Panics, TooLong, Unfinished int }

func drawBadPeers(d dice) act { return badPeers{d.between(1, 5), d.between(1, 10), d.between(1, 10)} }

func (a badPeers) play(ctx context.Context, s *stage) error {
	for _, part := range []struct {
		n      int
		sends  []byte
		reason session.Reason
	}{
		{a.Panics, frameOf(nil, []byte{verbPanic}), session.ReasonHandlerPanic},
		{a.TooLong, []byte{0xff, 0xff, 0xff, 0xff}, session.ReasonProtocolError},
		{a.Unfinished, frameOf(nil, numbered(0, 1000))[:500], session.ReasonFrameTimeout},
	} {
		s.ends(part.reason.String(), part.n)
		links, err := s.dialMany(part.n, false)
		if err != nil {
			return err
		}
		defer closeAll(links)
		for _, l := range links {
			if _, err := l.Write(part.sends); err != nil {
				return err
			}
		}
		for _, l := range links {
			if p, err := l.receive(); !ended(err) {
				return orDone(ctx, fmt.Errorf("%v: got %.40q, %w", part.reason, p, err))
			}
		}
	}
	return nil
}

// ended tells whether an error of a read means that the peer has closed.
func ended(err error) bool {
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// visits: clients of weir's own come and go.
type visits struct{ Clients int }

func drawVisits(d dice) act { return visits{d.between(5, 30)} }

func (a visits) play(ctx context.Context, s *stage) error {
	var st state
	if err := s.crowd.ask(&st, "visit %d %s", a.Clients, s.address); err != nil {
		return err
	}
	v := st.Clients.Visits
	s.note(func(b *books) {
		b.connections += int64(v.Connected)
		b.unsent += int64(v.Unsent)
	})
	if v.Error != "" || v.Connected != a.Clients {
		return fmt.Errorf("%d of %d connected: %s", v.Connected, a.Clients, v.Error)
	}
	return nil
}
