package engine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/session"
)

// bulk is how much goes through one session, from many senders who wait for room.
type bulk struct{ senders, messages, size int }

// TestVolumeOfManySenders has 64 goroutines send 32 messages of 4 MiB each to one
// session, 8 GiB, or a sixteenth of that: all of it arrives, each message in one
// piece, those of a sender in order.
func TestVolumeOfManySenders(t *testing.T) {
	b := bulk{64, amount(32, 8, 8), amount(4<<20, 1<<20, 1<<20)}
	v := serve(t, "tcp4", newProbe(), pool)
	c, opened := v.open()
	must(t, c.SetDeadline(time.Now().Add(time.Duration(amount(10, 1, 1))*2*patience)))
	began := time.Now()
	var all sync.WaitGroup
	defer all.Wait()
	for sender := range b.senders {
		all.Go(func() {
			message := make([]byte, b.size)
			for n := range b.messages {
				b.fill(message, sender, n)
				if err := opened.SendContext(t.Context(), message); err != nil {
					t.Errorf("sender %d: message %d: %v", sender, n, err)
					return
				}
			}
		})
	}
	defer opened.Abort() // senders must not wait for a reader that has given up
	most, err := b.receive(c, opened)
	must(t, err)
	all.Wait()
	total := b.senders * b.messages * b.size
	took := time.Since(began)
	t.Logf("%d MiB in messages of %d KiB from %d goroutines took %v, %.0f MiB/s; at most %d KiB were queued",
		total>>20, b.size>>10, b.senders, took.Round(time.Millisecond), float64(total>>20)/took.Seconds(), most>>10)
	until(t, "all of it counted, none queued", func() bool {
		st := opened.Stats()
		return st.MessagesOut == uint64(b.senders*b.messages) && st.BytesOut == uint64(total) && st.Queued == 0
	})
	// A message is taken below high water, however large it is, and above it up to the cap.
	if limit := max(256<<10+b.size, 4<<20); most > limit {
		t.Errorf("%d bytes were queued, want at most %d", most, limit)
	}
}

// fill writes a message: sender and number, and bytes that fit no other.
func (b bulk) fill(message []byte, sender, n int) {
	binary.LittleEndian.PutUint32(message, uint32(sender))
	binary.LittleEndian.PutUint32(message[4:], uint32(n))
	_, _ = io.ReadFull(b.body(sender, n), message[8:]) // a pattern has no end and no errors
}

func (bulk) body(sender, n int) io.Reader { return pattern(uint64(sender)<<32 | uint64(n)) }

// receive reads all messages and compares every byte. It returns how much was queued
// when a message began, at most.
func (b bulk) receive(c io.Reader, s *session.Session) (most int, err error) {
	next := make([]int, b.senders)
	for range b.senders * b.messages {
		most = max(most, s.Stats().Queued)
		var header [8]byte
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return most, err
		}
		sender, n := int(binary.LittleEndian.Uint32(header[:])), int(binary.LittleEndian.Uint32(header[4:]))
		if sender >= b.senders || n != next[sender] {
			return most, fmt.Errorf("message %d of sender %d came out of order, or in pieces", n, sender)
		}
		next[sender]++
		if err := compare(c, b.body(sender, n), b.size-len(header)); err != nil {
			return most, fmt.Errorf("message %d of sender %d: %w", n, sender, err)
		}
	}
	return most, nil
}

// compare reads n bytes from c, and tells if they are not what want holds.
func compare(c, want io.Reader, n int) error {
	var got, expected [64 << 10]byte
	for at := 0; at < n; {
		piece := min(len(got), n-at)
		if _, err := io.ReadFull(c, got[:piece]); err != nil {
			return fmt.Errorf("after %d bytes: %w", at, err)
		}
		_, _ = io.ReadFull(want, expected[:piece]) // a pattern has no end and no errors
		if !bytes.Equal(got[:piece], expected[:piece]) {
			return fmt.Errorf("changed on the way, in the %d bytes from %d on", piece, at)
		}
		at += piece
	}
	return nil
}
