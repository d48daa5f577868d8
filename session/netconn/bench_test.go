package netconn_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session/netconn"
)

// What a Conn costs beside package net's own connections. The clients are package net's in
// every row.

// ways are the listeners to compare; each returns one, and what ends it.
var ways = []struct {
	name string
	open func(b *testing.B) net.Listener
}{
	{"net", func(b *testing.B) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(b, err)
		b.Cleanup(func() { l.Close() })
		return l
	}},
	{"pool", func(b *testing.B) net.Listener { return benchListener(b, engine.Pool) }},
	{"inline", func(b *testing.B) net.Listener { return benchListener(b, engine.Inline) }},
}

func benchListener(b *testing.B, m engine.Mode) net.Listener {
	e, err := engine.New(engine.WithMode(m), engine.WithLogger(engine.NoLog{}))
	must(b, err)
	b.Cleanup(func() { must(b, e.Close()) })
	l, err := netconn.Listen(e, "tcp", "127.0.0.1:0")
	must(b, err)
	return l
}

// connect returns both ends of a connection to l.
func connect(b *testing.B, l net.Listener) (client, server net.Conn) {
	b.Helper()
	client, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", l.Addr().String())
	must(b, err)
	b.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	must(b, err)
	b.Cleanup(func() { server.Close() })
	return client, server
}

// BenchmarkEcho sends so many bytes and waits for them to come back, one after the other.
func BenchmarkEcho(b *testing.B) {
	for _, w := range ways {
		for _, size := range []struct {
			name  string
			bytes int
		}{{"64B", 64}, {"16KiB", 16 << 10}} {
			b.Run(size.name+"/"+w.name, func(b *testing.B) {
				client, server := connect(b, w.open(b))
				go func() {
					p := make([]byte, size.bytes)
					for {
						n, err := server.Read(p)
						if err != nil {
							return
						}
						if _, err := server.Write(p[:n]); err != nil {
							return
						}
					}
				}()
				p := make([]byte, size.bytes)
				b.SetBytes(int64(2 * size.bytes))
				b.ReportAllocs()
				for b.Loop() {
					_, err := client.Write(p)
					must(b, err)
					_, err = io.ReadFull(client, p)
					must(b, err)
				}
			})
		}
	}
}

// BenchmarkStream has the server read, or write, in pieces of 64 KiB without a pause.
func BenchmarkStream(b *testing.B) {
	const piece = 64 << 10
	for _, w := range ways {
		for _, reads := range []bool{true, false} {
			name := "writes/"
			if reads {
				name = "reads/"
			}
			b.Run(name+w.name, func(b *testing.B) {
				client, server := connect(b, w.open(b))
				from, to := net.Conn(client), server
				if !reads {
					from, to = server, client
				}
				go func() {
					p := make([]byte, piece)
					for {
						if _, err := from.Write(p); err != nil {
							return
						}
					}
				}()
				p := make([]byte, piece)
				b.SetBytes(piece)
				for b.Loop() {
					_, err := io.ReadFull(to, p)
					must(b, err)
				}
			})
		}
	}
}
