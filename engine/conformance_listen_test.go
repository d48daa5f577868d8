package engine_test

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Listeners: theirs, ours and stale ones.

func listenerCloses(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	c, _ := v.open()
	addr := v.listener.Addr()
	select {
	case <-v.listener.Done():
		t.Error("done before Close")
	default:
	}
	must(t, v.listener.Close())
	must(t, v.listener.Close())
	await(t, "done after Close", v.listener.Done())
	until(t, "nobody listens", func() bool {
		other, err := net.Dial(addr.Network(), addr.String())
		if err == nil {
			other.Close() // it was in the queue of the listener
		}
		return err != nil
	})
	if s.network == "unix" {
		until(t, "socket file removed", func() bool {
			_, err := os.Lstat(addr.String())
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	mustEcho(t, c, "still here")
	if got := v.listener.Addr().String(); got != addr.String() {
		t.Errorf("Addr after Close is %s, want %s", got, addr)
	}
	v.listener = v.listen(s.network, v.probe.handler()) // the engine can listen again
	mustEcho(t, v.dial(), "new")
}

// listenerEnds says that a listener is done when its engine has no use for it any more.
func listenerEnds(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	v.engine.Stop()
	await(t, "done after Stop", v.listener.Done())
}

func adoptListener(t *testing.T, s setting) {
	if strings.HasSuffix(s.name, "reuse-port") {
		t.Log("an adopted listener is one socket: several loops share it")
	}
	v := s.launch(t)
	v.probe = newProbe()
	theirs, err := net.Listen(s.network, freeAddress(t, s.network))
	must(t, err)
	if u, ok := theirs.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	v.listener, err = v.engine.Adopt(theirs, v.probe.handler())
	must(t, err)
	must(t, theirs.Close()) // ours is a duplicate
	if got := v.listener.Addr().String(); got != theirs.Addr().String() {
		t.Errorf("Addr is %s, want %s", got, theirs.Addr())
	}
	c, opened := v.open()
	mustEcho(t, c, "adopted")
	if s.network != "unix" {
		if got, want := opened.RemoteAddr().String(), c.LocalAddr().String(); got != want {
			t.Errorf("RemoteAddr is %s, want %s", got, want)
		}
	}
}

// bareListener has no syscall.Conn.
type bareListener struct{ net.Listener }

func TestAdoptRefuses(t *testing.T) {
	v := launch(t)
	theirs, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer theirs.Close()
	_, err = v.engine.Adopt(bareListener{theirs}, newProbe())
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "engine_test.bareListener") {
		t.Errorf("Adopt of a listener without a descriptor: %v; want ErrUnsupported that names its type", err)
	}
}

func TestListenUnixFile(t *testing.T) {
	v := launch(t)
	dir := shortDir(t)
	listen := func(path string) (*engine.Listener, error) { return v.engine.Listen("unix", path, newProbe()) }

	t.Run("stale", func(t *testing.T) {
		path := filepath.Join(dir, "stale")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		must(t, err)
		dead.SetUnlinkOnClose(false)
		must(t, dead.Close())
		l, err := listen(path)
		must(t, err)
		c, err := net.Dial("unix", path)
		must(t, err)
		defer c.Close()
		mustEcho(t, c, "x")
		must(t, l.Close())
	})
	t.Run("in use", func(t *testing.T) {
		path := filepath.Join(dir, "used")
		theirs, err := net.Listen("unix", path)
		must(t, err)
		defer theirs.Close()
		if _, err := listen(path); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
			t.Errorf("listen on a file in use: %v; want EADDRINUSE that names it", err)
		}
	})
	t.Run("no socket", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		must(t, os.WriteFile(path, []byte("precious"), 0o600))
		if _, err := listen(path); err == nil {
			t.Error("listen replaced a file that is no socket")
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != "precious" {
			t.Errorf("the file is %q, %v", kept, err)
		}
	})
}

// lastAccepted remembers the descriptor of the last connection.
type lastAccepted struct {
	sock.System
	fd *atomic.Int64
}

func (l lastAccepted) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	conn, peer, errno := l.System.Accept(fd)
	if errno == 0 {
		l.fd.Store(int64(conn))
	}
	return conn, peer, errno
}

func TestOptionsReachConnections(t *testing.T) {
	read := func(t *testing.T, adopt bool, opts ...engine.Option) map[sock.Option]int {
		t.Helper()
		spy := lastAccepted{sock.Kernel(), new(atomic.Int64)}
		v := launch(t, append(opts, engine.WithDeps(inject.Deps{Sockets: spy}))...)
		v.probe = newProbe()
		if adopt {
			theirs, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			v.listener, err = v.engine.Adopt(theirs, v.probe)
			must(t, err)
			theirs.Close()
		} else {
			v.listener = v.listen("tcp4", v.probe)
		}
		v.open()
		got := make(map[sock.Option]int)
		for _, o := range []sock.Option{sock.NoDelay, sock.KeepAlive, sock.KeepAliveSeconds, sock.UserTimeoutMillis} {
			value, err := sock.Kernel().Option(int(spy.fd.Load()), o)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Logf("%v: %v: not checked", o, err)
				continue
			}
			must(t, err)
			got[o] = value
		}
		return got
	}
	want := func(t *testing.T, got, want map[sock.Option]int) {
		t.Helper()
		for o, value := range got {
			if expected, named := want[o]; named && (value != 0) != (expected != 0) || named && expected > 1 && value != expected {
				t.Errorf("%v is %d, want %d", o, value, expected)
			}
		}
	}
	t.Run("defaults", func(t *testing.T) {
		want(t, read(t, false), map[sock.Option]int{
			sock.NoDelay: 1, sock.KeepAlive: 1, sock.KeepAliveSeconds: 15, sock.UserTimeoutMillis: 30_000,
		})
	})
	others := []engine.Option{
		engine.WithNoDelay(false), engine.WithKeepAlive(42 * time.Second), engine.WithUserTimeout(7 * time.Second),
	}
	expected := map[sock.Option]int{
		sock.NoDelay: 0, sock.KeepAlive: 1, sock.KeepAliveSeconds: 42, sock.UserTimeoutMillis: 7000,
	}
	t.Run("others", func(t *testing.T) { want(t, read(t, false, others...), expected) })
	t.Run("adopted", func(t *testing.T) { want(t, read(t, true, others...), expected) })
	t.Run("off", func(t *testing.T) {
		got := read(t, false, engine.WithKeepAlive(0))
		want(t, got, map[sock.Option]int{sock.KeepAlive: 0})
	})
}

func TestListenChoosesPort(t *testing.T) {
	for _, opts := range [][]engine.Option{nil, {engine.WithReusePort(), engine.WithLoops(4)}} {
		v := serve(t, "tcp4", newProbe(), opts...)
		if port := v.listener.Addr().(*net.TCPAddr).Port; port == 0 {
			t.Error("Addr has port 0")
		}
		mustEcho(t, v.dial(), "x")
	}
}

func TestListenAfterStop(t *testing.T) {
	v := launch(t)
	v.engine.Stop()
	if _, err := v.engine.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(nil)); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("Listen on a stopped engine: %v, want ErrStopped", err)
	}
}

// TestListenersComeAndGo opens and closes listeners on a living engine. What a
// closed one held must be free: its handler is collected.
func TestListenersComeAndGo(t *testing.T) {
	v := launch(t, engine.WithLoops(1))
	const rounds = 200
	var collected atomic.Int32
	for range rounds {
		p := newProbe()
		runtime.AddCleanup(p, func(struct{}) { collected.Add(1) }, struct{}{})
		l := v.listen("tcp4", p)
		mustEcho(t, dialTo(t, l.Addr()), "x")
		must(t, l.Close())
		opened := await(t, "OnOpen", p.opened)
		must(t, opened.Abort())
		await(t, "OnClose", p.closed)
	}
	until(t, "handlers collected", func() bool {
		runtime.GC()
		return collected.Load() >= rounds-1 // the last one may still be on the stack
	})
}

// TestListenDuringStop: a listener that comes while the engine goes is refused,
// or closed with it.
func TestListenDuringStop(t *testing.T) {
	for range amount(2000, 200, 50) {
		before := takeBaseline(t)
		e, err := engine.New(engine.WithLoops(2), engine.WithLogger(engine.NoLog{}))
		must(t, err)
		var stop sync.WaitGroup
		stop.Go(e.Stop)
		l, err := e.Listen("tcp", "127.0.0.1:0", newEcho())
		switch {
		case err == nil:
			if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
				c.Close()
			}
		case !errors.Is(err, engine.ErrStopped):
			t.Errorf("Listen: %v, want nil or ErrStopped", err)
		}
		must(t, e.Close())
		stop.Wait()
		if n := e.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions after Close, want 0", n)
		}
		before.mustHold(t)
	}
}

// socketOptions sets options of a session and reads them back from the kernel.
func socketOptions(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	_, opened := v.open()
	view, err := opened.TCP()
	if s.network == "unix" {
		if !errors.Is(err, session.ErrNotSupported) {
			t.Errorf("TCP of a unix session: %v, want ErrNotSupported", err)
		}
		return
	}
	must(t, err)
	if on, err := view.NoDelay(); err != nil || !on {
		t.Errorf("NoDelay is %v, %v; want true, as the engine sets it", on, err)
	}
	must(t, view.SetNoDelay(false))
	if on, err := view.NoDelay(); err != nil || on {
		t.Errorf("NoDelay is %v, %v; want false", on, err)
	}
	must(t, view.SetKeepAlive(0))
	if d, err := view.KeepAlive(); err != nil || d != 0 {
		t.Errorf("KeepAlive is %v, %v; want 0", d, err)
	}
	must(t, view.SetWriteBuffer(32<<10))
	if n, err := view.WriteBuffer(); err != nil || n < 32<<10 {
		t.Errorf("WriteBuffer is %d, %v; want 32 KiB or more", n, err)
	}
	must(t, opened.Abort())
	v.awaitClose(session.ReasonAborted)
	if err := view.SetNoDelay(true); !errors.Is(err, session.ErrClosed) {
		t.Errorf("SetNoDelay on a closed session: %v, want ErrClosed", err)
	}
}

// duplicateLivesOn keeps a duplicate of a session's descriptor beyond its end.
// The peer must still see the end, and the loop no more of that connection.
func duplicateLivesOn(t *testing.T, s setting) {
	v := s.serve(t, newProbe(), engine.WithLinger(20*time.Millisecond))
	c, opened := v.open()
	raw, err := opened.SyscallConn()
	must(t, err)
	duplicate := -1
	must(t, raw.Control(func(fd uintptr) { duplicate, err = syscall.Dup(int(fd)) }))
	must(t, err)
	defer syscall.Close(duplicate)
	must(t, opened.Close())
	mustEnd(t, c)
	v.awaitClose(session.ReasonLocalClose)
	other, second := v.open()
	before := v.engine.Stats().StaleEvents
	for range 100 {
		_, _ = c.Write([]byte("into the void")) // raises events on the duplicate
		mustEcho(t, other, "x")
	}
	letTurnsPass(t, second)
	if n := v.engine.Stats().StaleEvents - before; n != 0 {
		t.Errorf("the loop was told %d times of a closed session", n)
	}
}
