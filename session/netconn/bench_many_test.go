//go:build unix

package netconn_test

import (
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// What many connections cost: served by a goroutine each, of package net's connections and
// of Conns, and by a handler that needs none.

// echoBuffer is what such a goroutine reads into.
const echoBuffer = 4 << 10

// services are echo servers; each starts one, and returns where it listens.
var services = func() (all []service) {
	for _, w := range ways {
		all = append(all, service{"goroutines/" + w.name, func(b *testing.B) net.Addr {
			l := w.open(b)
			go serveEach(l)
			return l.Addr()
		}})
	}
	for _, m := range []engine.Mode{engine.Pool, engine.Inline} {
		all = append(all, service{"handler/" + m.String(), func(b *testing.B) net.Addr {
			e, err := engine.New(engine.WithMode(m), engine.WithLogger(engine.NoLog{}))
			must(b, err)
			b.Cleanup(func() { must(b, e.Close()) })
			l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(s *session.Session, f session.Frame) {
				_ = s.Send(f.Bytes()) // ErrClosed: the client is gone
			}))
			must(b, err)
			return l.Addr()
		}})
	}
	return all
}()

type service struct {
	name  string
	start func(*testing.B) net.Addr
}

// serveEach echoes on every connection until l and they are closed.
func serveEach(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			p := make([]byte, echoBuffer)
			for {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				if _, err := c.Write(p[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// BenchmarkMany sends 64 bytes on each of so many connections at once, waits for them to
// come back, and sends again. An operation is one round trip.
func BenchmarkMany(b *testing.B) {
	for _, conns := range []struct {
		name string
		n    int
	}{{"10", 10}, {"1000", 1000}} {
		for _, v := range services {
			b.Run(conns.name+"/"+v.name, func(b *testing.B) {
				addr := v.start(b)
				var clients []net.Conn
				for range conns.n {
					c, err := net.Dial("tcp", addr.String())
					must(b, err)
					defer c.Close()
					clients = append(clients, c)
					trip(b, c)
				}
				b.ResetTimer()
				var all sync.WaitGroup
				for i, c := range clients {
					trips := (b.N + i) / conns.n
					all.Go(func() {
						for range trips {
							if !trip(b, c) {
								return
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}

// trip is one round trip; false if it failed.
func trip(b *testing.B, c net.Conn) bool {
	var p [64]byte
	_, err := c.Write(p[:])
	if err == nil {
		_, err = io.ReadFull(c, p[:])
	}
	if err != nil {
		b.Error(err)
	}
	return err == nil
}

// BenchmarkIdle reports what a connection takes that was used once: memory of heap and
// stacks, and goroutines. The client has bare descriptors, which take nothing here.
func BenchmarkIdle(b *testing.B) {
	const conns = 2000
	for _, v := range services {
		b.Run(v.name, func(b *testing.B) {
			addr := v.start(b).(*net.TCPAddr)
			closeAll(openIdle(b, addr, 10)) // what comes with the first connections counts for none
			for b.Loop() {
				bytes, goroutines := inUse()
				fds := openIdle(b, addr, conns)
				bytesNow, goroutinesNow := inUse()
				b.ReportMetric(float64(bytesNow-bytes)/conns, "B/conn")
				b.ReportMetric(float64(goroutinesNow-goroutines)/conns, "goroutines/conn")
				closeAll(fds)
			}
		})
	}
}

// inUse returns memory in use after a collection, and goroutines.
func inUse() (bytes, goroutines int) {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// openIdle opens n connections to addr, and waits for one byte to come back on each.
func openIdle(b *testing.B, addr *net.TCPAddr, n int) (fds []int) {
	b.Helper()
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		must(b, err)
		fds = append(fds, fd)
		must(b, syscall.Connect(fd, to))
		p := []byte("x")
		_, err = syscall.Write(fd, p)
		must(b, err)
		_, err = syscall.Read(fd, p)
		must(b, err)
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd) // it was opened here
	}
}
