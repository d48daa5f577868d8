package rpc

import (
	"context"
	"testing"
	"time"

	"github.com/weirnet/weir/session/message"
)

// BenchmarkTable adds a call to a table in which others wait, and takes it out.
func BenchmarkTable(b *testing.B) {
	for name, deadline := range map[string]time.Duration{"no deadline": 0, "deadline": time.Hour} {
		b.Run(name, func(b *testing.B) {
			var t table
			t.init(4096, tagLine, func(time.Duration) {})
			for range 1000 {
				if _, err := t.add(&call{deadline: deadline}); err != nil {
					b.Fatal(err)
				}
			}
			c := &call{}
			for b.Loop() {
				deadline++
				c.deadline = deadline
				id, err := t.add(c)
				if err != nil {
					b.Fatal(err)
				}
				t.sent(c, id, 1)
				if t.take(id) != c {
					b.Fatal("it is not there")
				}
			}
		})
	}
}

// BenchmarkCall is a call and its answer, both ends, without a kernel between them.
func BenchmarkCall(b *testing.B) {
	client, server := newPeer(b), newPeer(b)
	server.Handle("echo", func(r *Request) (*message.Message, error) {
		text, err := r.Message.Get("text")
		return r.Message.Reply().Set("text", text), err
	})
	c, _ := newPair(b, client, server)
	m := msg("echo", "sixty-four bytes of text, give or take some, which come back again")
	ended := 0
	done := func(*message.Message, error) { ended++ }
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Go(context.Background(), c.session, m, done); err != nil {
			b.Fatal(err)
		}
		c.flow()
	}
	if ended != b.N {
		b.Fatalf("%d of %d calls have ended", ended, b.N)
	}
}
