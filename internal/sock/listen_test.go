//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenAndAccept(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		sys := Kernel()
		l := mustListen(t, at, ListenOptions{})
		checkFlags(t, "listener", l.FD)
		if _, _, errno := sys.Accept(l.FD); errno != unix.EAGAIN {
			t.Errorf("Accept with nobody there: %v, want EAGAIN", errno)
		}
		client := mustDial(t, l.Addr)
		defer sys.Close(client)
		await(t, l.FD, unix.POLLIN)
		conn, peer, errno := sys.Accept(l.FD)
		if errno != 0 {
			t.Fatal(errno)
		}
		defer sys.Close(conn)
		checkFlags(t, "connection", conn)

		if got := sys.LocalAddr(conn); got == nil || got.String() != l.Addr.String() || got.Network() != l.Addr.Network() {
			t.Errorf("connection has address %v, listener %v", got, l.Addr)
		}
		if at.isUnix() {
			if peer.IsValid() {
				t.Errorf("peer of a unix socket is %v", peer)
			}
			return
		}
		if want := sys.LocalAddr(client); peer.String() != want.String() {
			t.Errorf("peer is %v, want %v", peer, want)
		}
		if l.Addr.(*net.TCPAddr).Port == 0 {
			t.Error("port is 0")
		}
	})
}

func TestFamilies(t *testing.T) {
	requireIPv6(t)
	for _, c := range []struct {
		network, address   string
		takesIPv4, takesV6 bool
	}{
		{"tcp", ":0", true, true},
		{"tcp", "[::]:0", true, true},
		{"tcp4", ":0", true, false},
		{"tcp6", ":0", false, true},
		{"tcp6", "[::]:0", false, true},
		{"tcp", "127.0.0.1:0", true, false},
		{"tcp", "[::1]:0", false, true},
	} {
		t.Run(c.network+" "+c.address, func(t *testing.T) {
			if c.takesIPv4 && c.takesV6 && !dualStack {
				t.Skip("this system has no dual-stack sockets")
			}
			l := mustListen(t, place{c.network, c.address}, ListenOptions{})
			port := uint16(l.Addr.(*net.TCPAddr).Port)
			for _, to := range []struct {
				ip   netip.Addr
				want bool
			}{{netip.MustParseAddr("127.0.0.1"), c.takesIPv4}, {netip.IPv6Loopback(), c.takesV6}} {
				conn, err := net.Dial("tcp", netip.AddrPortFrom(to.ip, port).String())
				if (err == nil) != to.want {
					t.Errorf("dial %v: %v", to.ip, err)
				}
				if err != nil {
					continue
				}
				await(t, l.FD, unix.POLLIN)
				fd, peer, errno := Kernel().Accept(l.FD)
				if errno != 0 {
					t.Fatal(errno)
				}
				if peer.Addr() != to.ip {
					t.Errorf("peer %v, want %v", peer, to.ip)
				}
				Kernel().Close(fd)
				conn.Close()
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	taken := mustListen(t, place{"tcp4", "127.0.0.1:0"}, ListenOptions{})
	alive := mustListen(t, place{"unix", socketPath(t)}, ListenOptions{})
	plain := socketPath(t)
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Dir(socketPath(t))
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socketPath(t), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()

	for _, c := range []struct {
		name             string
		network, address string
		is               error
		says             string
	}{
		{"port in use", "tcp4", taken.Addr.String(), unix.EADDRINUSE, ""},
		{"not a port", "tcp", "127.0.0.1:notaport", nil, "notaport"},
		{"port too large", "tcp", "127.0.0.1:99999", nil, ""},
		{"no port", "tcp", "127.0.0.1", nil, "missing port"},
		{"not our address", "tcp4", "192.0.2.1:7000", unix.EADDRNOTAVAIL, ""},
		{"wrong family", "tcp6", "127.0.0.1:0", nil, ""},
		{"path too long", "unix", "/tmp/" + strings.Repeat("x", 200), unix.ENAMETOOLONG, "205 bytes"},
		{"no path", "unix", "", nil, "missing address"},
		{"no such directory", "unix", filepath.Join(plain+"-none", "s"), unix.ENOENT, ""},
		{"somebody listens", "unix", alive.Addr.String(), unix.EADDRINUSE, ""},
		{"somebody else's kind of socket", "unix", datagram.LocalAddr().String(), unix.EADDRINUSE, ""},
		{"plain file", "unix", plain, unix.EADDRINUSE, "not a socket"},
		{"directory", "unix", directory, unix.EADDRINUSE, "not a socket"},
		{"network of another kind", "udp", "127.0.0.1:0", net.UnknownNetworkError("udp"), "udp"},
		{"packets", "unixpacket", plain, net.UnknownNetworkError("unixpacket"), "unixpacket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Kernel().Listen(c.network, c.address, ListenOptions{})
			if err == nil {
				l.Release(Kernel())
				t.Fatal("no error")
			}
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "listen" {
				t.Errorf("%T %v is not a *net.OpError of listen", err, err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%q is not %v", err, c.is)
			}
			if !strings.Contains(err.Error(), c.says) || !namesAddress(err, c.address) {
				t.Errorf("%q does not say %q or the address", err, c.says)
			}
		})
	}
	if text, err := os.ReadFile(plain); string(text) != "precious" {
		t.Errorf("the plain file was touched: %q, %v", text, err)
	}
	for _, path := range []string{alive.Unlink, datagram.LocalAddr().String()} {
		if _, err := os.Lstat(path); err != nil {
			t.Error("a socket in use was removed:", err)
		}
	}
}

// namesAddress tells whether err names address, or for a bad port, the port.
func namesAddress(err error, address string) bool {
	_, port, splitErr := net.SplitHostPort(address)
	return strings.Contains(err.Error(), address) || splitErr == nil && strings.Contains(err.Error(), port)
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal("the stale file is not there:", err)
	}
	l := mustListen(t, place{"unix", path}, ListenOptions{})
	client := mustDial(t, l.Addr)
	defer Kernel().Close(client)
	defer Kernel().Close(mustAccept(t, l.FD))
}

func TestReleaseRemovesOwnFile(t *testing.T) {
	path := socketPath(t)
	l := mustListen(t, place{"unix", path}, ListenOptions{})
	if l.Unlink != path {
		t.Errorf("Unlink = %q, want %q", l.Unlink, path)
	}
	if err := l.Release(Kernel()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there:", err)
	}
}

func TestReleaseFindsFileAfterChdir(t *testing.T) {
	path := socketPath(t)
	t.Chdir(filepath.Dir(path))
	l := mustListen(t, place{"unix", "s"}, ListenOptions{})
	t.Chdir(os.TempDir())
	if err := l.Release(Kernel()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there:", err)
	}
}

func TestReleaseLeavesOthersFile(t *testing.T) {
	path := socketPath(t)
	first := mustListen(t, place{"unix", path}, ListenOptions{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := mustListen(t, place{"unix", path}, ListenOptions{})
	if err := first.Release(Kernel()); err != nil {
		t.Error(err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(second.file, now) {
		t.Error("the second server's file is gone:", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := second.Release(Kernel()); err != nil {
		t.Error("Release without a file:", err)
	}
}

func TestReusePort(t *testing.T) {
	o := ListenOptions{ReusePort: true}
	first := mustListen(t, place{"tcp4", "127.0.0.1:0"}, o)
	mustListen(t, place{"tcp4", first.Addr.String()}, o)
	if _, err := Kernel().Listen("tcp4", first.Addr.String(), ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("without ReusePort: %v, want EADDRINUSE", err)
	}
}

func TestAddrFrom16(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.7").As16()
	if got := addrFrom16(mapped, 3); got != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("mapped: %v", got)
	}
	local := netip.MustParseAddr("fe80::1")
	if got := addrFrom16(local.As16(), 3); got != local.WithZone("3") {
		t.Errorf("link-local: %v", got)
	}
	if got := addrFrom16(local.As16(), 0); got != local {
		t.Errorf("without zone: %v", got)
	}
}
