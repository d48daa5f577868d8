package engine_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/weirnet/weir/session"
)

// Messages to sessions that are in no group.

// broadcasts: everybody gets what is broadcast, in order, and those named what is sent
// to them.
func broadcasts(t *testing.T, s setting) {
	const clients, messages = 10, 50
	v := s.serve(t, newProbe())
	var all []stream
	var ids []uint64
	for i := range clients {
		c, held := v.open()
		all = append(all, c)
		if i%2 == 0 {
			ids = append(ids, held.ID())
		}
	}
	want := make([]string, clients)
	for n := range messages {
		text := fmt.Sprintf("message %d. ", n)
		if n%3 == 0 {
			found, err := v.engine.SendTo(append(ids, 1<<60), []byte(text))
			if must(t, err); found != len(ids) {
				t.Fatalf("%d sessions found, want %d", found, len(ids))
			}
		} else {
			must(t, v.engine.Broadcast([]byte(text)))
		}
		for i := range want {
			if n%3 != 0 || i%2 == 0 {
				want[i] += text
			}
		}
	}
	for i, c := range all {
		mustRead(t, c, want[i])
	}
}

// broadcastToSlow: one that does not read is refused what it has no room for, and all
// are counted.
func broadcastToSlow(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	slow, held := v.open()
	quick, _ := v.open()
	large := make([]byte, 1<<20)
	go io.Copy(io.Discard, quick)
	for range 20 {
		until(t, "room", func() bool {
			err := v.engine.Broadcast(large)
			if err != nil && err != session.ErrBufferFull {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	until(t, "all were given", func() bool { st := v.engine.Stats(); return st.Cast+st.CastRefused == 40 })
	if held.Stats().Queued > 8<<20 {
		t.Errorf("%d bytes queued for one that does not read", held.Stats().Queued)
	}
	must(t, slow.Close())
	if st := v.engine.Stats(); st.CastRefused == 0 {
		t.Errorf("nothing was refused: %+v", st)
	}
}
