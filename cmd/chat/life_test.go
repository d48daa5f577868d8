//go:build unix

package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestAnotherLife: a server that keeps nothing is started again, and has numbered more
// messages than before when a client comes back. The client sees all of them.
func TestAnotherLife(t *testing.T) {
	addr := address(t)
	stop := start(t, addr, store{keep: 10})
	ann := newUser(t, addr, "ann")
	var want []string
	say := func(addr, life string, messages int) {
		bob := dial(t, addr)
		bob.send(`{"do":"join","room":"lobby","name":"bob","key":"b"}`)
		bob.until("joined")
		for n := range messages {
			text := fmt.Sprintf("%s, message %d", life, n+1)
			bob.send(string(line(request{Do: "say", N: n + 1, Text: text})))
			bob.until("said")
			want = append(want, "bob: "+text)
		}
		bob.conn.Close()
	}
	say(addr, "first life", 3)
	ann.await(t, "bob: first life", 3)
	stop()
	ann.await(t, "-- connection lost", 1)

	// The new server listens where ann will find it only after bob has spoken.
	lines, err := codec()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.WithGroups(slowReaders))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h := session.Framed(&server{engine: e, store: store{keep: 10}, rooms: map[string]*room{}}, lines)
	elsewhere, err := e.Listen("tcp", "127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	say(elsewhere.Addr().String(), "second life", 5)
	if _, err := e.Listen("tcp", addr, h); err != nil {
		t.Fatal(err)
	}
	ann.await(t, "-- in room", 2)
	if got := ann.said(); !slices.Equal(got, want) {
		t.Errorf("ann sees %q, want %q", got, want)
	}
	ann.await(t, "-- the room has begun anew", 1)
	ann.ends(t)
}
