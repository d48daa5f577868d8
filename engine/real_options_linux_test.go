package engine_test

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestOptionsOfConnections reads back what connections start with, however they came to be.
func TestOptionsOfConnections(t *testing.T) {
	for _, c := range []struct {
		name                                string
		opts                                []engine.Option
		noDelay, alive, idle, every, millis int // as getsockopt returns them; idle and every in seconds
	}{
		{"defaults", nil, 1, 1, 15, 5, 30_000},
		{"chosen", []engine.Option{
			engine.WithNoDelay(false), engine.WithKeepAlive(7 * time.Second), engine.WithUserTimeout(9 * time.Second),
		}, 0, 1, 7, 2, 9_000},
		{"off", []engine.Option{engine.WithKeepAlive(0), engine.WithUserTimeout(0)}, 1, 0, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := serve(t, "tcp4", newProbe(), c.opts...)
			dialled, err := v.engine.Dial(context.Background(), "tcp4", v.listener.Addr().String(), v.probe)
			must(t, err)
			accepted := await(t, "OnOpen", v.probe.opened)
			if accepted == dialled {
				accepted = await(t, "OnOpen", v.probe.opened)
			}
			conn, err := net.Dial("tcp4", v.listener.Addr().String())
			must(t, err)
			adopted, err := v.engine.AdoptConn(conn, v.probe)
			must(t, err)
			must(t, conn.Close())
			for how, s := range map[string]*session.Session{"accepted": accepted, "dialled": dialled, "adopted": adopted} {
				want := map[int]int{
					unix.TCP_NODELAY: c.noDelay, unix.TCP_KEEPIDLE: c.idle, unix.TCP_KEEPINTVL: c.every, unix.TCP_USER_TIMEOUT: c.millis,
				}
				if c.alive == 0 {
					delete(want, unix.TCP_KEEPIDLE) // the system's, and unused
					delete(want, unix.TCP_KEEPINTVL)
				}
				if got := optionOf(t, s, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != c.alive {
					t.Errorf("%s: SO_KEEPALIVE is %d, want %d", how, got, c.alive)
				}
				for option, value := range want {
					if got := optionOf(t, s, unix.IPPROTO_TCP, option); got != value {
						t.Errorf("%s: TCP option %d is %d, want %d", how, option, got, value)
					}
				}
			}
		})
	}
}

// optionOf asks the kernel.
func optionOf(t *testing.T, s *session.Session, level, option int) (value int) {
	t.Helper()
	raw, err := s.SyscallConn()
	must(t, err)
	var inner error
	must(t, raw.Control(func(fd uintptr) { value, inner = unix.GetsockoptInt(int(fd), level, option) }))
	must(t, inner)
	return value
}
