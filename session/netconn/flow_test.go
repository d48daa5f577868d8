package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestReadingIsBounded: a peer that sends more than is read is slowed down, and what waits
// here is no more than engine.WithUnread says and one read of the loop's. Nothing is lost.
func TestReadingIsBounded(t *testing.T) {
	const unread, budget = 16 << 10, 64 << 10
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		opts = append(opts[:len(opts):len(opts)], engine.WithUnread(unread), engine.WithReadBudget(budget))
		l := listen(t, launch(t, opts...), "tcp")
		ours, theirs := pair(t, l)
		sent := noise(16 << 20)
		n := 0
		until(t, "enough is sent", func() bool { // none is if this goroutine is late for its own deadline
			must(t, theirs.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
			m, err := theirs.Write(sent[n:])
			wantError(t, "Write to who does not read", err, os.ErrDeadlineExceeded)
			n += m
			return n >= unread
		})
		until(t, "enough waits to be read", func() bool { return ours.Session().Stats().Unread >= unread })
		if waiting := ours.Session().Stats().Unread; waiting > unread+budget {
			t.Errorf("%d bytes wait to be read, want at most %d", waiting, unread+budget)
		}
		must(t, theirs.CloseWrite())
		got, err := io.ReadAll(ours)
		must(t, err)
		if !bytes.Equal(got, sent[:n]) {
			t.Errorf("read %d bytes that differ from the %d sent", len(got), n)
		}
	})
}

// TestWritingIsBounded: to a peer that does not read, Write waits when the queue is at high
// water, and a deadline ends it; what it says it has written is what the peer gets.
func TestWritingIsBounded(t *testing.T) {
	const low, high = 8 << 10, 32 << 10
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		opts = append(opts[:len(opts):len(opts)], engine.WithOutbound(low, high, 1<<20))
		e := launch(t, opts...)
		l := listen(t, e, "tcp")
		ours, theirs := pair(t, l)
		sent := noise(32 << 20)
		must(t, ours.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
		n, err := ours.Write(sent)
		var timeout interface{ Timeout() bool }
		if wantError(t, "Write", err, os.ErrDeadlineExceeded); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no time-out", err)
		}
		if queued := ours.Session().Stats().Queued; queued > high { // less if this machine was slow to write
			t.Errorf("%d bytes are queued, want at most %d", queued, high)
		}
		got := make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(theirs) // what is missing is seen below
			got <- all
		}()
		must(t, ours.SetWriteDeadline(time.Now().Add(patience))) // and Write goes on where it was
		m, err := ours.Write(sent[n:])
		must(t, err)
		if n+m != len(sent) {
			t.Errorf("wrote %d and %d bytes, want %d in all", n, m, len(sent))
		}
		must(t, ours.CloseWrite())
		if all := await(t, "what the peer got", got); !bytes.Equal(all, sent) {
			t.Errorf("the peer got %d bytes that differ from the %d written", len(all), len(sent))
		}
	})
}

// TestWritesShareTheEngine: when others have queued all that may be queued, to peers that do
// not read, whoever has little queued still gets on.
func TestWritesShareTheEngine(t *testing.T) {
	const total = 256 << 10
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		opts = append(opts[:len(opts):len(opts)], engine.WithOutbound(8<<10, 128<<10, 1<<20), engine.WithOutboundTotal(total))
		e := launch(t, opts...)
		l := listen(t, e, "tcp")
		for range 4 { // each would queue 128 KiB
			ours, _ := pair(t, l)
			must(t, ours.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			_, err := ours.Write(noise(32 << 20))
			wantError(t, "Write", err, os.ErrDeadlineExceeded)
		}
		if queued := e.Stats().Queued; queued > total {
			t.Errorf("%d bytes are queued in all, want at most %d", queued, total)
		}
		ours, theirs := pair(t, l)
		sent, got := noise(8<<20), make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(theirs) // what is missing is seen below
			got <- all
		}()
		_, err := ours.Write(sent)
		must(t, err)
		must(t, ours.CloseWrite())
		if all := await(t, "what the peer got", got); !bytes.Equal(all, sent) {
			t.Errorf("the peer got %d bytes that differ from the %d written", len(all), len(sent))
		}
		if n := e.Stats().Closed[session.ReasonSlowConsumer.String()]; n != 0 {
			t.Errorf("Write has waited until %d others were closed", n)
		}
	})
}

// TestHalfClose: after CloseWrite answers are still read, and after the peer's FIN they can
// still be written, in an engine that leaves no other session half open.
func TestHalfClose(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		l := listen(t, launch(t, opts...), "tcp")
		question, answer := noise(1<<20), noise(2 << 20)[1<<20:]
		ask := func(c stream) {
			_, err := c.Write(question)
			must(t, err)
			must(t, c.CloseWrite())
		}
		wantAll := func(c io.Reader, want []byte) {
			t.Helper()
			got, err := io.ReadAll(c)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("got %d bytes that differ from the %d sent", len(got), len(want))
			}
		}
		for _, weAsk := range []bool{true, false} {
			ours, theirs := pair(t, l)
			asking, answering := stream(ours), theirs
			if !weAsk {
				asking, answering = theirs, ours
			}
			go ask(asking)
			wantAll(answering, question)
			go func() {
				_, err := answering.Write(answer)
				if err == nil {
					err = answering.CloseWrite()
				}
				if err != nil {
					t.Error(err)
				}
			}()
			wantAll(asking, answer)
		}
	})
}
