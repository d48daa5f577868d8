package session_test

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

func tcpOf(t *testing.T, r *rig) session.TCP {
	t.Helper()
	tcp, err := r.session.TCP()
	if err != nil {
		t.Fatal(err)
	}
	return tcp
}

func TestTCPOptionsReadBack(t *testing.T) {
	r := openRig(t, &parts{})
	tcp := tcpOf(t, r)
	for _, on := range []bool{true, false} {
		wantError(t, "SetNoDelay", tcp.SetNoDelay(on), nil)
		if got, err := tcp.NoDelay(); got != on || err != nil {
			t.Errorf("NoDelay is %v, %v", got, err)
		}
	}
	for _, d := range []time.Duration{time.Second, 20 * time.Second, 0, 32767 * time.Second} {
		wantError(t, "SetKeepAlive", tcp.SetKeepAlive(d), nil)
		if got, err := tcp.KeepAlive(); got != d || err != nil {
			t.Errorf("KeepAlive is %v, %v; want %v", got, err, d)
		}
	}
	for _, seconds := range []int{0, -1} {
		wantError(t, "SetLinger", tcp.SetLinger(seconds), nil)
		if got, err := tcp.Linger(); got != seconds || err != nil {
			t.Errorf("Linger is %v, %v; want %v", got, err, seconds)
		}
	}
	wantError(t, "SetReadBuffer", tcp.SetReadBuffer(1000), nil)
	wantError(t, "SetWriteBuffer", tcp.SetWriteBuffer(2000), nil)
	read, readErr := tcp.ReadBuffer()
	write, writeErr := tcp.WriteBuffer()
	if read != 1000 || write != 2000 || readErr != nil || writeErr != nil {
		t.Errorf("buffers are %d, %v and %d, %v", read, readErr, write, writeErr)
	}
	if r.link.options[sock.RecvBuffer] != 1000 || r.link.options[sock.SendBuffer] != 2000 {
		t.Errorf("options are %v", r.link.options)
	}
}

func TestBadTCPValuesAreNamed(t *testing.T) {
	r := openRig(t, &parts{})
	tcp := tcpOf(t, r)
	for value, err := range map[string]error{
		"500ms":    tcp.SetKeepAlive(500 * time.Millisecond),
		"-1s":      tcp.SetKeepAlive(-time.Second),
		"9h6m8s":   tcp.SetKeepAlive(32768 * time.Second),
		" 1 ":      tcp.SetLinger(1),
		" -2 ":     tcp.SetLinger(-2),
		"read":     tcp.SetReadBuffer(0),
		" -5 byte": tcp.SetWriteBuffer(-5),
	} {
		if err == nil || !strings.Contains(err.Error(), value) {
			t.Errorf("error %v does not name %q", err, value)
		}
	}
	if len(r.link.options) != 0 {
		t.Errorf("set all the same: %v", r.link.options)
	}
}

func TestTCPOptionsPassErrorsOn(t *testing.T) {
	r := openRig(t, &parts{})
	tcp := tcpOf(t, r)
	r.link.failing = syscall.ENOBUFS
	wantError(t, "SetNoDelay", tcp.SetNoDelay(true), syscall.ENOBUFS)
	wantError(t, "SetKeepAlive", tcp.SetKeepAlive(time.Second), syscall.ENOBUFS)
	_, err := tcp.KeepAlive()
	wantError(t, "KeepAlive", err, syscall.ENOBUFS)
	_, err = tcp.Linger()
	wantError(t, "Linger", err, syscall.ENOBUFS)
}

func TestTCPOptionsOfAClosedSession(t *testing.T) {
	r := openRig(t, &parts{})
	tcp := tcpOf(t, r)
	r.close()
	_, err := tcp.NoDelay()
	for name, err := range map[string]error{
		"NoDelay": err, "SetNoDelay": tcp.SetNoDelay(true), "SetKeepAlive": tcp.SetKeepAlive(0),
		"SetLinger": tcp.SetLinger(0), "SetReadBuffer": tcp.SetReadBuffer(1), "SetWriteBuffer": tcp.SetWriteBuffer(1),
	} {
		wantError(t, name, err, session.ErrClosed)
	}
}

func TestUnixSocketHasNoTCPOptions(t *testing.T) {
	local := session.New(1, nil, netip.AddrPort{}, time.Now(), session.NewBehaviour(&parts{}))
	_, err := local.TCP()
	wantError(t, "TCP", err, session.ErrNotSupported)
	wantError(t, "TCP", err, errors.ErrUnsupported)
}

func TestSyscallConn(t *testing.T) {
	r := openRig(t, &parts{})
	raw, err := r.session.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if r.link.handedOut {
		t.Error("the descriptor counts as handed out before anybody has it")
	}
	wantError(t, "Control", raw.Control(func(fd uintptr) {
		if fd != 42 || r.link.refs != 2 {
			t.Errorf("descriptor %d with %d counts", fd, r.link.refs)
		}
	}), nil)
	if !r.link.handedOut {
		t.Error("the loop does not know that the descriptor was handed out")
	}

	for name, method := range map[string]func(func(uintptr) bool) error{"read": raw.Read, "write": raw.Write} {
		calls := 0
		wantError(t, name, method(func(fd uintptr) bool { calls++; return fd == 42 }), nil)
		err := method(func(uintptr) bool { calls++; return false })
		wantError(t, name+" that waits", err, errors.ErrUnsupported)
		if calls != 2 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: called %d times; %v", name, calls, err)
		}
	}

	// The descriptor stays open while f runs, even when the session ends.
	wantError(t, "Control", raw.Control(func(uintptr) {
		r.close()
		if r.link.closed {
			t.Error("closed under the caller")
		}
	}), nil)
	if !r.link.closed {
		t.Error("still open")
	}
	for name, err := range map[string]error{
		"Control": raw.Control(func(uintptr) { t.Error("called") }),
		"Read":    raw.Read(func(uintptr) bool { t.Error("called"); return true }),
		"Write":   raw.Write(func(uintptr) bool { t.Error("called"); return true }),
	} {
		wantError(t, name, err, session.ErrClosed)
	}
	_, err = r.session.SyscallConn()
	wantError(t, "SyscallConn", err, session.ErrClosed)
}

func TestSyscallConnGivesTheCountBackAfterAPanic(t *testing.T) {
	r := openRig(t, &parts{})
	raw, err := r.session.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = raw.Control(func(uintptr) { panic("in f") })
	}()
	if r.link.refs != 1 {
		t.Errorf("%d counts, want 1", r.link.refs)
	}
}
