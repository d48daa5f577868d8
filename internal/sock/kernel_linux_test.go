package sock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What only Linux has or promises.

// TestFullBacklogIsAlive starts a second server while the first one's queue is
// full, so that a connection attempt gets no answer.
func TestFullBacklogIsAlive(t *testing.T) {
	path := socketPath(t)
	first := mustListen(t, place{"unix", path}, ListenOptions{Backlog: 1})
	full := false
	for range 16 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("16 connections fit into a queue of 1")
	}
	if _, err := Kernel().Listen("unix", path, ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("second server: %v, want EADDRINUSE", err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(first.file, now) {
		t.Error("the first server's file is gone:", err)
	}
}

func TestAbstractName(t *testing.T) {
	name := fmt.Sprintf("@sock-test-%d", os.Getpid())
	l := mustListen(t, place{"unix", name}, ListenOptions{})
	if l.Unlink != "" {
		t.Errorf("Unlink = %q", l.Unlink)
	}
	client := mustDial(t, l.Addr)
	defer Kernel().Close(client)
	defer Kernel().Close(mustAccept(t, l.FD))
	if got := Kernel().LocalAddr(l.FD); got == nil || got.String() != name {
		t.Errorf("LocalAddr = %v, want %s", got, name)
	}
	if _, err := Kernel().Listen("unix", name, ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("second server: %v, want EADDRINUSE", err)
	}
}

// TestOptionsAreInherited reads an accepted connection's options, which nobody
// has set on it.
func TestOptionsAreInherited(t *testing.T) {
	on := ConnOptions{NoDelay: true, KeepAliveSeconds: 77, UserTimeoutMillis: 4321}
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			if network == "tcp6" {
				requireIPv6(t)
			}
			l := mustListen(t, place{network, ":0"}, ListenOptions{Conn: on})
			if !l.Inherits {
				t.Error("Inherits is false")
			}
			client := mustDial(t, l.Addr)
			defer Kernel().Close(client)
			conn := mustAccept(t, l.FD)
			defer Kernel().Close(conn)
			checkOptions(t, conn, map[Option]int{NoDelay: 1, KeepAlive: 1, KeepAliveSeconds: 77, UserTimeoutMillis: 4321})
			interval, err := unix.GetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
			if interval != 77/keepAliveProbes || err != nil {
				t.Errorf("TCP_KEEPINTVL = %d, %v", interval, err)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		p := newPair(t, place{"tcp4", "127.0.0.1:0"})
		checkOptions(t, p.server, map[Option]int{KeepAlive: 0, UserTimeoutMillis: 0})
	})
}

// TestIsPlainTCP makes sure that multipath TCP, the default of package net, is
// off: it is slower and lacks options.
func TestIsPlainTCP(t *testing.T) {
	l := mustListen(t, place{"tcp4", "127.0.0.1:0"}, ListenOptions{})
	protocol, err := unix.GetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if protocol != unix.IPPROTO_TCP || err != nil {
		t.Errorf("SO_PROTOCOL = %d, %v", protocol, err)
	}
}

// TestCallsAreCapped moves more than MaxBytes through a unix socket, whose
// default buffer has room for it.
func TestCallsAreCapped(t *testing.T) {
	big := make([]byte, 4*MaxBytes)
	half := big[:MaxBytes/2+1]
	for name, send := range map[string]func(fd int) (int, syscall.Errno){
		"Send":             func(fd int) (int, syscall.Errno) { return Kernel().Send(fd, big) },
		"Sendv, one view":  func(fd int) (int, syscall.Errno) { return Kernel().Sendv(fd, [][]byte{big}) },
		"Sendv, two views": func(fd int) (int, syscall.Errno) { return Kernel().Sendv(fd, [][]byte{half, half, half}) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, place{"unix", socketPath(t)})
			if err := Kernel().SetOption(p.server, SendBuffer, 8*MaxBytes); err != nil {
				t.Fatal(err)
			}
			if n, errno := send(p.server); n != MaxBytes || errno != 0 {
				t.Fatalf("sent %d, %v, want %d", n, errno, MaxBytes)
			}
			if n, errno := Kernel().Send(p.server, big[:1000]); n != 1000 || errno != 0 {
				t.Fatalf("sent %d more, %v", n, errno)
			}
			if n, errno := Kernel().Recv(p.client, big); n != MaxBytes || errno != 0 {
				t.Errorf("received %d, %v, want %d", n, errno, MaxBytes)
			}
		})
	}
}

// TestPassedDescriptorsAreDropped sends a descriptor over a unix socket. It must
// not appear in this process; the bytes around it must all arrive.
func TestPassedDescriptorsAreDropped(t *testing.T) {
	p := newPair(t, place{"unix", socketPath(t)})
	before := openDescriptors(t)
	for range 10 {
		if err := unix.Sendmsg(p.client, []byte("a"), unix.UnixRights(p.client), nil, 0); err != nil {
			t.Fatal(err)
		}
		mustSend(t, p.client, []byte("b"))
	}
	if got := mustRecv(t, p.server, 20); string(got) != strings.Repeat("ab", 10) {
		t.Errorf("got %q", got)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestDescriptorEndsRecvEarly pins down why a short Recv on a unix socket does
// not mean that nothing is left.
func TestDescriptorEndsRecvEarly(t *testing.T) {
	p := newPair(t, place{"unix", socketPath(t)})
	if err := unix.Sendmsg(p.client, []byte("a"), unix.UnixRights(p.client), nil, 0); err != nil {
		t.Fatal(err)
	}
	mustSend(t, p.client, []byte("b"))
	for _, want := range []string{"a", "b"} {
		buf := make([]byte, 8)
		if n, errno := Kernel().Recv(p.server, buf); string(buf[:n]) != want || errno != 0 {
			t.Errorf("Recv = %q, %v, want %q", buf[:n], errno, want)
		}
	}
}

// TestNoDescriptorLeaks goes through everything that opens a descriptor, the
// ways to fail included.
func TestNoDescriptorLeaks(t *testing.T) {
	plain := socketPath(t)
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := socketPath(t)
	before := openDescriptors(t)
	for _, at := range []place{{"tcp", "127.0.0.1:0"}, {"unix", path}} {
		l, err := Kernel().Listen(at.network, at.address, ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		client := mustDial(t, l.Addr)
		Kernel().Close(mustAccept(t, l.FD))
		Kernel().Close(client)

		failing := []place{{at.network, l.Addr.String()}, {"unix", plain}, {"udp", ":0"}, {"tcp", "192.0.2.1:1"}}
		for _, f := range failing {
			if _, err := Kernel().Listen(f.network, f.address, ListenOptions{}); err == nil {
				t.Errorf("listen %v: no error", f)
			}
		}
		bad := ListenOptions{Conn: ConnOptions{KeepAliveSeconds: 1 << 30}}
		if _, err := Kernel().Listen("tcp", "127.0.0.1:0", bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("keep-alive of %d s: %v", 1<<30, err)
		}
		if err := l.Release(Kernel()); err != nil {
			t.Error(err)
		}
	}
	original, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := Kernel().Adopt(original)
	if err != nil {
		t.Fatal(err)
	}
	original.Close()
	if err := adopted.Release(Kernel()); err != nil {
		t.Error(err)
	}
	if _, err := Kernel().Adopt(original); err == nil {
		t.Error("a closed listener was adopted")
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// openDescriptors counts the descriptors of this process that are sockets.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return sockets
}

func TestNoAllocations(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		sys := Kernel()
		one, buf := make([]byte, 64), make([]byte, 4096)
		views := [][]byte{one, one, one}
		for name, f := range map[string]func(){
			"Send and Recv":  func() { sys.Send(p.server, one); sys.Recv(p.client, buf) },
			"Sendv and Recv": func() { sys.Sendv(p.server, views); sys.Recv(p.client, buf) },
			"empty Recv":     func() { sys.Recv(p.server, buf) },
			"empty Accept":   func() { sys.Accept(p.server) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}

func TestAcceptDoesNotAllocate(t *testing.T) {
	l := mustListen(t, place{"tcp4", "127.0.0.1:0"}, ListenOptions{})
	const runs = 20
	for range runs + 1 {
		client := mustDial(t, l.Addr)
		defer Kernel().Close(client)
	}
	for queued := uint32(0); queued < runs+1; { // the last one's handshake may not be over at our end
		info, err := unix.GetsockoptTCPInfo(l.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		queued = info.Unacked // of a listener: connections to be accepted
		runtime.Gosched()
	}
	sys := Kernel()
	accepted := 0
	n := testing.AllocsPerRun(runs, func() {
		if fd, _, errno := sys.Accept(l.FD); errno == 0 {
			accepted++
			sys.Close(fd)
		}
	})
	if n != 0 || accepted != runs+1 {
		t.Errorf("%v allocations, %d accepted", n, accepted)
	}
}

func TestReadNumbers(t *testing.T) {
	path := socketPath(t)
	for text, fine := range map[string]bool{"32768\t60999\n": true, "32768\n": false, "": false, "1 x": false, "1 2 3": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		numbers, err := readNumbers(path, 2)
		if (err == nil) != fine || fine && (numbers[0] != 32768 || numbers[1] != 60999) {
			t.Errorf("%q: %v, %v", text, numbers, err)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q does not name the file", err)
		}
	}
	if _, err := readNumbers(path+"-none", 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
