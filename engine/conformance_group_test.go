package engine_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"
)

// Groups: who is in one gets everything, in order, and nothing of before and after.

// groupMessage is the number-th message of a publisher, of 16 bytes.
func groupMessage(publisher, number int) []byte {
	m := binary.BigEndian.AppendUint64(nil, uint64(publisher))
	return binary.BigEndian.AppendUint64(m, uint64(number))
}

// groupSends: several goroutines publish, and each member gets the messages of each in
// order.
func groupSends(t *testing.T, s setting) {
	const members, publishers, messages = 10, 4, 250
	v := s.serve(t, newProbe())
	g := v.engine.Group("all")
	var clients []stream
	for range members {
		c, held := v.open()
		must(t, g.Join(held))
		clients = append(clients, c)
	}
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := range messages {
				check(t, g.Send(groupMessage(p, n)))
			}
		})
	}
	for _, c := range clients {
		all.Go(func() { check(t, readGroup(c, publishers, messages)) })
	}
	all.Wait()
	st := g.Stats()
	if want := uint64(publishers * messages); st.Published != want || st.Members != members {
		t.Errorf("published %d to %d members, want %d to %d", st.Published, st.Members, want, members)
	}
	until(t, "all delivered", func() bool { return g.Stats().Delivered == members*publishers*messages })
}

// readGroup reads what publishers send, and wants all of it in order for each.
func readGroup(c io.Reader, publishers, messages int) error {
	next := make([]int, publishers)
	var m [16]byte
	for range publishers * messages {
		if _, err := io.ReadFull(c, m[:]); err != nil {
			return fmt.Errorf("after %v: %w", next, err)
		}
		p, n := int(binary.BigEndian.Uint64(m[:])), int(binary.BigEndian.Uint64(m[8:]))
		if p >= publishers || n != next[p] {
			return fmt.Errorf("message %d of publisher %d, after %v", n, p, next)
		}
		next[p]++
	}
	return nil
}
