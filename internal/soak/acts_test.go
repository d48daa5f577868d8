//go:build linux

package main

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
)

// badServer answers each payload with what answer makes of it; n counts the payloads of
// a connection from 0 on. A nil answer says nothing.
func badServer(t *testing.T, answer func(n int, payload []byte) []byte) *stage {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				in := &link{TCPConn: c.(*net.TCPConn)}
				for n := 0; ; n++ {
					p, err := in.receive()
					if err != nil {
						return
					}
					if p = answer(n, p); p != nil && in.send(p) != nil {
						return
					}
				}
			})
		}
	})
	return &stage{address: l.Addr().String(), books: books{closed: map[string]int64{}}}
}

// Whatever a server does wrong, an act says so.
func TestActsNotice(t *testing.T) {
	faithful := func(_ int, p []byte) []byte { return p }
	corrupts := func(n int, p []byte) []byte {
		if n == 3 {
			p = bytes.Clone(p)
			p[len(p)-1] ^= 1
		}
		return p
	}
	repeats := func() func(int, []byte) []byte {
		var last []byte
		return func(n int, p []byte) []byte {
			if n != 3 {
				last = bytes.Clone(p)
			}
			return last
		}
	}
	onlyFirst := func(n int, p []byte) []byte {
		if n > 0 {
			return nil
		}
		return p
	}
	swallows := func(int, []byte) []byte { return nil }
	for name, c := range map[string]struct {
		act    act
		server func(int, []byte) []byte
		want   string
	}{
		"churn, faithful":        {churn{3, 5, 100}, faithful, ""},
		"churn, corrupted":       {churn{3, 5, 100}, corrupts, "sent "},
		"slow reader, faithful":  {slowReader{8, 32 << 10}, faithful, ""},
		"slow reader, corrupted": {slowReader{8, 32 << 10}, corrupts, "message 3 is not as it was sent"},
		"slow reader, repeated":  {slowReader{8, 32 << 10}, repeats(), "got answer 2, want 3"},
		"half-close, faithful":   {halfClose{1, 100_000}, faithful, ""},
		"half-close, corrupted":  {halfClose{1, 100_000}, corrupts, "or others"},
		"half-close, swallowed":  {halfClose{1, 100_000}, swallows, "and got 0"},
		"stuck reader, taken":    {stuckReader{1}, onlyFirst, "the server has taken"},
		"bad peers, answered":    {badPeers{Panics: 1}, faithful, `handler_panic: got "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.act.play(t.Context(), badServer(t, c.server))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
