package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// server is an engine under test with one listener. At the end of the test it is
// closed, and must leave nothing behind.
type server struct {
	t        testing.TB
	engine   *engine.Engine
	listener *engine.Listener
	probe    *probe
}

// serve starts an engine with debug buffers that listens for p.
func serve(t testing.TB, network string, p *probe, opts ...engine.Option) *server {
	t.Helper()
	v := launch(t, opts...)
	v.probe = p
	v.listener = v.listen(network, p.handler())
	return v
}

// launch starts an engine without a listener.
func launch(t testing.TB, opts ...engine.Option) *server {
	t.Helper()
	before := takeBaseline(t)
	e, err := engine.New(append([]engine.Option{engine.WithDebugBuffers(), engine.WithLogger(engine.NoLog{})}, opts...)...)
	must(t, err)
	v := &server{t: t, engine: e}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		v.mustBeClean()
		before.mustHold(t)
		if v.probe != nil {
			v.probe.mustAddUp(t, e.Stats())
		}
	})
	return v
}

// listen opens one more listener on a free address.
func (v *server) listen(network string, h session.Handler) *engine.Listener {
	v.t.Helper()
	l, err := v.engine.Listen(network, freeAddress(v.t, network), h)
	must(v.t, err)
	return l
}

// freeAddress lets the kernel choose a port, or names a new socket file.
func freeAddress(t testing.TB, network string) string {
	switch network {
	case "tcp6":
		return "[::1]:0"
	case "unix":
		return filepath.Join(shortDir(t), "socket")
	}
	return "127.0.0.1:0"
}

// shortDir is a temporary directory whose path leaves room for a socket's name,
// which may have 103 bytes on some systems. Those of t.TempDir can be longer.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// dial connects to the server; the connection is closed at the end of the test.
func (v *server) dial() stream {
	v.t.Helper()
	return dialTo(v.t, v.listener.Addr())
}

// open dials and returns both ends.
func (v *server) open() (stream, *session.Session) {
	v.t.Helper()
	c := v.dial()
	return c, await(v.t, "OnOpen", v.probe.opened)
}

// shutdown ends the engine gracefully.
func (v *server) shutdown() {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(v.t, v.engine.Shutdown(ctx))
}

// mustBeClean checks the books of a closed engine. Whoever was just writing when
// it was closed may still be giving back what he held, hence the wait.
func (v *server) mustBeClean() {
	v.t.Helper()
	until(v.t, "buffers given back, nothing queued", func() bool {
		st := v.engine.Stats()
		return st.Memory.Buffers.InUse == 0 && st.Memory.Buffers.Segments == 0 && st.Queued == 0
	})
	if st := v.engine.Stats(); st.Sessions != 0 {
		v.t.Errorf("%d sessions after Close, want 0", st.Sessions)
	}
}

// stream is what *net.TCPConn and *net.UnixConn have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

func dialTo(t testing.TB, addr net.Addr) stream {
	t.Helper()
	c, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(2*patience)))
	return c.(stream)
}

// reset closes c so that the peer gets an error instead of the end of the
// stream: RST on TCP; on unix sockets that takes something left unread.
func reset(t testing.TB, c stream) {
	t.Helper()
	if tcp, ok := c.(*net.TCPConn); ok {
		must(t, tcp.SetLinger(0))
	}
	must(t, c.Close())
}

// mustEcho sends text and wants it back.
func mustEcho(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("write: %v", err)
	}
	mustRead(t, c, text)
}

// mustRead wants exactly text next.
func mustRead(t testing.TB, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("read: %v, want %q", err, text)
	}
	if string(got) != text {
		t.Fatalf("read %q, want %q", got, text)
	}
}

// mustEnd wants the end of the stream next.
func mustEnd(t testing.TB, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes, %v; want the end of the stream", n, err)
	}
}
