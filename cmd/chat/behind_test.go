//go:build unix

package main

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestLoopsFarBehind: what is said while the loops are so far behind that the room's group
// takes no more is in the journal, and everybody hears it, the speaker too, in its place.
func TestLoopsFarBehind(t *testing.T) {
	lines, err := codec()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.WithMode(engine.Single), engine.WithLogger(engine.NoLog{}), engine.WithGroups(slowReaders),
		engine.WithOutbound(16<<10, 32<<10, 64<<10)) // the group is full before members are too slow for it
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	st := store{dir: t.TempDir(), keep: 10}
	h := &server{engine: e, store: st, rooms: map[string]*room{}}
	defer h.close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(h, lines))
	if err != nil {
		t.Fatal(err)
	}
	stuck, release := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(release) })
	defer goOn()
	blocking, err := e.Listen("tcp", "127.0.0.1:0", opener(func(*session.Session) { close(stuck); <-release }))
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := newUser(t, l.Addr().String(), "ann"), newUser(t, l.Addr().String(), "bob")
	bob.types("before")
	for _, u := range []*user{ann, bob} {
		u.await(t, "bob: before", 1)
	}
	r, err := h.room("lobby")
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	speaker := r.members["bob"].session
	r.mu.Unlock()

	dial(t, blocking.Addr().String())
	<-stuck // the only loop stands still
	say := func(n int, text string) {
		t.Helper()
		if err := r.say(speaker, "bob", request{Do: "say", N: n, Text: text}); err != nil {
			t.Errorf("who says %q is told %v", text, err)
		}
	}
	say(2, "still taken")
	for err = nil; err == nil; {
		err = r.said.Send(line(event{Is: "filling"})) // which clients do not know
	}
	if !errors.Is(err, session.ErrBufferFull) {
		t.Fatal(err)
	}
	say(3, "too much")
	say(4, "still too much")
	goOn()
	for _, u := range []*user{ann, bob} {
		u.await(t, "-- in room", 2) // so it came back
		u.await(t, "bob: still too much", 1)
	}
	bob.types("after")
	want := []string{"bob: before", "bob: still taken", "bob: too much", "bob: still too much", "bob: after"}
	for _, u := range []*user{ann, bob} {
		u.await(t, "bob: after", 1)
		if got := u.said(); !slices.Equal(got, want) {
			t.Errorf("somebody sees %q, want %q", got, want)
		}
		u.ends(t)
	}
	p, j, err := st.open("lobby") // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	var kept []string
	for _, e := range p.said {
		kept = append(kept, e.From+": "+e.Text)
	}
	if !slices.Equal(kept, want) {
		t.Errorf("the journal has %q, want %q", kept, want)
	}
}
