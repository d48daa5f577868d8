//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBytesArrive(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		sys := Kernel()
		if n, errno := sys.Send(p.client, []byte("ping")); n != 4 || errno != 0 {
			t.Fatalf("Send = %d, %v", n, errno)
		}
		if got := mustRecv(t, p.server, 4); string(got) != "ping" {
			t.Errorf("server got %q", got)
		}
		views := [][]byte{nil, []byte("po"), {}, []byte("n"), []byte("g"), nil}
		if n, errno := sys.Sendv(p.server, views); n != 4 || errno != 0 {
			t.Fatalf("Sendv = %d, %v", n, errno)
		}
		if got := mustRecv(t, p.client, 4); string(got) != "pong" {
			t.Errorf("client got %q", got)
		}
		if n, errno := sys.Sendv(p.server, [][]byte{nil, {}}); n != 0 || errno != 0 {
			t.Errorf("Sendv of empty views = %d, %v", n, errno)
		}
		if n, errno := sys.Sendv(p.server, nil); n != 0 || errno != 0 {
			t.Errorf("Sendv of no view = %d, %v", n, errno)
		}
	})
}

func TestNothingThere(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		if n, errno := Kernel().Recv(p.server, make([]byte, 8)); n != 0 || errno != unix.EAGAIN {
			t.Errorf("Recv = %d, %v, want EAGAIN", n, errno)
		}
	})
}

func TestSendFillsUp(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		chunk := make([]byte, 64<<10)
		for range 10_000 {
			n, errno := Kernel().Send(p.server, chunk)
			if errno == unix.EAGAIN {
				if n != 0 {
					t.Errorf("EAGAIN with %d bytes", n)
				}
				n, errno := Kernel().Sendv(p.server, [][]byte{chunk})
				if n > 0 && errno == 0 {
					continue // the peer's kernel has taken something meanwhile
				}
				if n != 0 || errno != unix.EAGAIN {
					t.Errorf("Sendv = %d, %v, want EAGAIN", n, errno)
				}
				return
			}
			if errno != 0 {
				t.Fatal(errno)
			}
		}
		t.Fatal("Send never said EAGAIN")
	})
}

func TestEndOfStream(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		mustSend(t, p.client, []byte("last"))
		p.closeClient()
		if got := mustRecv(t, p.server, 4); string(got) != "last" {
			t.Errorf("got %q", got)
		}
		await(t, p.server, unix.POLLIN)
		for range 2 {
			if n, errno := Kernel().Recv(p.server, make([]byte, 8)); n != 0 || errno != 0 {
				t.Errorf("Recv = %d, %v, want the end", n, errno)
			}
		}
	})
}

func TestHalfClose(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		mustSend(t, p.client, []byte("question"))
		if errno := Kernel().ShutdownWrite(p.client); errno != 0 {
			t.Fatal(errno)
		}
		mustRecv(t, p.server, 8)
		await(t, p.server, unix.POLLIN)
		if n, errno := Kernel().Recv(p.server, make([]byte, 8)); n != 0 || errno != 0 {
			t.Fatalf("Recv = %d, %v, want the end", n, errno)
		}
		mustSend(t, p.server, []byte("answer"))
		if got := mustRecv(t, p.client, 6); string(got) != "answer" {
			t.Errorf("got %q", got)
		}
		if _, errno := Kernel().Send(p.client, []byte("more")); errno != unix.EPIPE {
			t.Errorf("Send after ShutdownWrite: %v, want EPIPE", errno)
		}
	})
}

func TestReset(t *testing.T) {
	for _, at := range []place{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		t.Run(at.network, func(t *testing.T) {
			if at.network == "tcp6" {
				requireIPv6(t)
			}
			p := newPair(t, at)
			if err := Kernel().SetOption(p.client, Linger, 0); err != nil {
				t.Fatal(err)
			}
			p.closeClient()
			await(t, p.server, unix.POLLIN)
			if n, errno := Kernel().Recv(p.server, make([]byte, 8)); n != 0 || errno != unix.ECONNRESET {
				t.Errorf("Recv = %d, %v, want ECONNRESET", n, errno)
			}
		})
	}
}

// TestBrokenPipeRaisesNoSignal sends to a peer that has gone. Signals are
// delivered in the order of their numbers, so SIGWINCH comes after any SIGPIPE.
func TestBrokenPipeRaisesNoSignal(t *testing.T) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGPIPE, syscall.SIGWINCH)
	defer signal.Stop(signals)

	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		if errno := Kernel().ShutdownWrite(p.server); errno != 0 {
			t.Fatal(errno)
		}
		if _, errno := Kernel().Send(p.server, []byte("x")); errno != unix.EPIPE {
			t.Errorf("Send: %v, want EPIPE", errno)
		}
		if _, errno := Kernel().Sendv(p.server, [][]byte{{1}, {2}}); errno != unix.EPIPE {
			t.Errorf("Sendv: %v, want EPIPE", errno)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-signals:
			if s != syscall.SIGWINCH {
				t.Errorf("got %v", s)
			}
		case <-time.After(waitMillis * time.Millisecond):
			t.Fatal("no signal came")
		}
	})
}

// TestSendvResumes sends views of all sizes through a small socket buffer, with
// short writes at random places, and compares hashes.
func TestSendvResumes(t *testing.T) {
	total := 2 << 20
	if testing.Short() {
		total = 512 << 10
	}
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		for _, o := range []Option{SendBuffer, RecvBuffer} {
			if err := Kernel().SetOption(p.server, o, 4096); err != nil {
				t.Fatal(err)
			}
		}
		random := rand.New(rand.NewPCG(1, uint64(total)))
		views, want := randomViews(random, total)

		sums := make(chan []byte)
		go func() { sums <- hashUntilEnd(p.client) }()

		short := 0
		for len(views) > 0 {
			n, errno := Kernel().Sendv(p.server, views)
			if errno == unix.EAGAIN {
				await(t, p.server, unix.POLLOUT)
				continue
			}
			if errno != 0 {
				t.Fatal(errno)
			}
			if n < sizeOf(views[:min(len(views), MaxViews)]) {
				short++
			}
			views = advance(views, n)
		}
		Kernel().ShutdownWrite(p.server)
		if got := <-sums; !bytes.Equal(got, want) {
			t.Errorf("hash %x, want %x", got, want)
		}
		if short == 0 {
			t.Error("no write was short: nothing was tested")
		}
	})
}

// randomViews makes views of total bytes, some empty, and their hash.
func randomViews(random *rand.Rand, total int) ([][]byte, []byte) {
	var views [][]byte
	h := sha256.New()
	for total > 0 {
		size := min(total, random.IntN(1<<random.IntN(16)))
		view := make([]byte, size)
		for i := range view {
			view[i] = byte(random.Uint32())
		}
		h.Write(view)
		views = append(views, view)
		total -= size
	}
	return views, h.Sum(nil)
}

// advance drops the first n bytes.
func advance(views [][]byte, n int) [][]byte {
	for len(views) > 0 && n >= len(views[0]) {
		n -= len(views[0])
		views = views[1:]
	}
	if n > 0 {
		views[0] = views[0][n:]
	}
	return views
}

func sizeOf(views [][]byte) int {
	n := 0
	for _, v := range views {
		n += len(v)
	}
	return n
}

// hashUntilEnd hashes what arrives on fd; it is nil after an error.
func hashUntilEnd(fd int) []byte {
	var h hash.Hash = sha256.New()
	p := make([]byte, 3000)
	for {
		n, errno := Kernel().Recv(fd, p)
		switch {
		case errno == unix.EAGAIN:
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, waitMillis); n == 0 && err == nil {
				return nil
			}
		case errno != 0:
			return nil
		case n == 0:
			return h.Sum(nil)
		}
		h.Write(p[:n])
	}
}

func TestSendvTakesMaxViews(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		views := make([][]byte, MaxViews+10)
		for i := range views {
			views[i] = []byte{byte(i)}
		}
		n, errno := Kernel().Sendv(p.server, views)
		if n != MaxViews || errno != 0 {
			t.Fatalf("Sendv = %d, %v, want %d", n, errno, MaxViews)
		}
		for i, b := range mustRecv(t, p.client, MaxViews) {
			if b != byte(i) {
				t.Fatalf("byte %d is %d", i, b)
			}
		}
	})
}

func TestClosedDescriptor(t *testing.T) {
	p := newPair(t, place{"tcp4", "127.0.0.1:0"})
	fd := p.server
	p.server = -1
	sys := Kernel()
	if errno := sys.Close(fd); errno != 0 {
		t.Fatal(errno)
	}
	if errno := sys.Close(-1); errno != unix.EBADF {
		t.Errorf("Close: %v", errno)
	}
	if _, errno := sys.Recv(-1, make([]byte, 1)); errno != unix.EBADF {
		t.Errorf("Recv: %v", errno)
	}
	if _, errno := sys.Send(-1, make([]byte, 1)); errno != unix.EBADF {
		t.Errorf("Send: %v", errno)
	}
	if _, errno := sys.Sendv(-1, [][]byte{{1}}); errno != unix.EBADF {
		t.Errorf("Sendv: %v", errno)
	}
	if _, _, errno := sys.Accept(-1); errno != unix.EBADF {
		t.Errorf("Accept: %v", errno)
	}
	if errno := sys.ShutdownWrite(-1); errno != unix.EBADF {
		t.Errorf("ShutdownWrite: %v", errno)
	}
	if a := sys.LocalAddr(-1); a != nil {
		t.Errorf("LocalAddr = %v", a)
	}
}
