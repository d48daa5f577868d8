//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// checkOptions compares what fd has with what it should have.
func checkOptions(t *testing.T, fd int, want map[Option]int) {
	t.Helper()
	for o, value := range want {
		if got, err := Kernel().Option(fd, o); got != value || err != nil {
			t.Errorf("%v = %d, %v, want %d", o, got, err, value)
		}
	}
}

// lacking are the options that this system does not have.
func lacking(o Option) bool {
	return o == UserTimeoutMillis && runtime.GOOS != "linux" || o == KeepAliveSeconds && runtime.GOOS == "openbsd"
}

func TestOptions(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		for _, c := range []struct {
			option Option
			values []int
			tcp    bool
		}{
			{NoDelay, []int{0, 1, 0}, true},
			{KeepAlive, []int{1, 0}, false},
			{KeepAliveSeconds, []int{45, 7}, true},
			{UserTimeoutMillis, []int{1500, 0}, true},
			{Linger, []int{3, 0, -1}, false},
		} {
			for _, value := range c.values {
				err := Kernel().SetOption(p.server, c.option, value)
				if lacking(c.option) || c.tcp && at.isUnix() {
					if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), c.option.String()) {
						t.Errorf("set %v: %v, want ErrUnsupported", c.option, err)
					}
					if _, err := Kernel().Option(p.server, c.option); !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("read %v: %v, want ErrUnsupported", c.option, err)
					}
					continue
				}
				if err != nil {
					t.Error(err)
				}
				checkOptions(t, p.server, map[Option]int{c.option: value})
			}
		}
	})
}

func TestBufferSizes(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		for _, o := range []Option{SendBuffer, RecvBuffer} {
			if err := Kernel().SetOption(p.server, o, 32<<10); err != nil {
				t.Fatal(err)
			}
			if got, err := Kernel().Option(p.server, o); got < 32<<10 || got > 128<<10 || err != nil {
				t.Errorf("%v = %d, %v after setting 32 KiB", o, got, err)
			}
		}
	})
}

func TestSocketErrorIsReadOnce(t *testing.T) {
	p := newPair(t, place{"tcp4", "127.0.0.1:0"})
	if err := Kernel().SetOption(p.client, Linger, 0); err != nil {
		t.Fatal(err)
	}
	p.closeClient()
	await(t, p.server, unix.POLLIN)
	checkOptions(t, p.server, map[Option]int{SocketError: int(unix.ECONNRESET)})
	checkOptions(t, p.server, map[Option]int{SocketError: 0})
}

func TestBadOptions(t *testing.T) {
	p := newPair(t, place{"tcp4", "127.0.0.1:0"})
	if err := Kernel().SetOption(p.server, SocketError, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("set SocketError: %v", err)
	}
	if err := Kernel().SetOption(p.server, Option(99), 1); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "99") {
		t.Errorf("set an unknown option: %v", err)
	}
	if _, err := Kernel().Option(p.server, Option(99)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("read an unknown option: %v", err)
	}
	if err := Kernel().SetOption(-1, NoDelay, 1); !errors.Is(err, unix.EBADF) {
		t.Errorf("bad descriptor: %v", err)
	}
	if _, err := Kernel().Option(-1, Linger); !errors.Is(err, unix.EBADF) {
		t.Errorf("bad descriptor: %v", err)
	}
}

// TestConfigure starts from what package net sets on a dialled connection, which
// is all on, and turns it off and on again.
func TestConfigure(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		p := newPair(t, at)
		for _, o := range []ConnOptions{
			{},
			{NoDelay: true, KeepAliveSeconds: 33, UserTimeoutMillis: 2500},
			{NoDelay: true},
		} {
			if err := Configure(Kernel(), p.client, o); err != nil {
				t.Fatal(err)
			}
			if at.isUnix() {
				continue
			}
			want := map[Option]int{NoDelay: boolValue(o.NoDelay), KeepAlive: boolValue(o.KeepAliveSeconds > 0)}
			if o.KeepAliveSeconds > 0 {
				want[KeepAliveSeconds] = o.KeepAliveSeconds
			}
			if o.UserTimeoutMillis > 0 {
				want[UserTimeoutMillis] = o.UserTimeoutMillis
			}
			for option := range want {
				if lacking(option) {
					delete(want, option)
				}
			}
			checkOptions(t, p.client, want)
		}
	})
	if err := Configure(Kernel(), -1, ConnOptions{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("bad descriptor: %v", err)
	}
}
