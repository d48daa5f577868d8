package netconn_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/netconn"
)

// collector passes on what the session gives it.
type collector struct {
	frames chan string
	closed chan error
}

func newCollector() collector {
	return collector{make(chan string, 64), make(chan error, 1)}
}

func (c collector) OnMessage(_ *session.Session, f session.Frame) { c.frames <- string(f.Bytes()) }
func (c collector) OnClose(_ *session.Session, reason error)      { c.closed <- reason }
func (c collector) wantClosed(t *testing.T, want session.Reason) {
	wantError(t, "OnClose", await(t, "OnClose", c.closed), want)
}
func (c collector) wantFrames(t *testing.T, what string, want ...string) {
	t.Helper()
	var got []string
	for range want {
		got = append(got, await(t, what, c.frames))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: handler got %q, want %q", what, got, want)
	}
}

// stock is a stream of lines, some of them empty.
const stock = "a\nbc\n\ndefgh\ni\n"

var stockLines = []string{"a", "bc", "", "defgh", "i"}

// TestReleaseAtEveryByte reads so many bytes of a stream, for every number there is, and
// releases the session to a framed handler: it must get exactly the rest. What is read and
// put back comes first to it.
func TestReleaseAtEveryByte(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		l := listen(t, launch(t, opts...), "tcp")
		for at := range len(stock) + 1 {
			for _, back := range []int{0, 1, at} {
				if back > at {
					continue
				}
				for _, waited := range []bool{true, false} {
					releaseAt(t, l, at, back, waited)
				}
			}
		}
	})
}

// releaseAt does so after at bytes, of which the last few were put back. Waited says that
// all bytes are with the session before, which else come at any time.
func releaseAt(t *testing.T, l *netconn.Listener, at, back int, waited bool) {
	t.Helper()
	ours, theirs := pair(t, l)
	defer theirs.Close()
	what := fmt.Sprintf("after %d bytes, %d put back, all there: %v", at, back, waited)
	_, err := io.WriteString(theirs, stock)
	must(t, err)
	if waited {
		until(t, "bytes received", func() bool { return ours.Session().Stats().BytesIn == uint64(len(stock)) })
	}
	p := make([]byte, at)
	_, err = io.ReadFull(ours, p)
	must(t, err)
	must(t, ours.Unread(p[at-back:]))

	// What a handler of lines makes of the rest of the stream.
	h := newCollector()
	var want []string
	rest := bufio.NewScanner(strings.NewReader(stock[at-back:]))
	for rest.Scan() {
		want = append(want, rest.Text())
	}
	must(t, ours.Release(session.Framed(h, frame.Lines())))
	h.wantFrames(t, what, want...)
	_, err = io.WriteString(theirs, "one more\n")
	must(t, err)
	h.wantFrames(t, what, "one more")
	_, err = ours.Read(p[:0:0])
	wantError(t, "Read after Release", err, netconn.ErrReleased)
	wantError(t, "Close after Release", ours.Close(), netconn.ErrReleased)
	must(t, theirs.CloseWrite())
	h.wantClosed(t, session.ReasonPeerClosed)
}

// TestThereAndBack takes a session from its framed handler after each of the lines, by the
// handler itself, reads so many bytes of what follows, for every number there is, and gives
// the session back: no byte may be lost, doubled or out of order.
func TestThereAndBack(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		for lines := 1; lines < len(stockLines); lines++ {
			begin := 0
			for _, line := range stockLines[:lines] {
				begin += len(line) + 1
			}
			for n := 0; begin+n <= len(stock); n++ {
				thereAndBack(t, e, lines, begin, n)
			}
		}
	})
}

// leaver makes a Conn of its session after some lines.
type leaver struct {
	collector
	after int
	left  chan *netconn.Conn
	seen  int
}

func (l *leaver) OnMessage(s *session.Session, f session.Frame) {
	l.collector.OnMessage(s, f)
	if l.seen++; l.seen == l.after {
		l.left <- netconn.New(s)
	}
}

func thereAndBack(t *testing.T, e *engine.Engine, lines, begin, n int) {
	t.Helper()
	what := fmt.Sprintf("%d lines, then %d bytes", lines, n)
	h := &leaver{collector: newCollector(), after: lines, left: make(chan *netconn.Conn, 1)}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(h, frame.Lines()))
	must(t, err)
	defer l.Close()
	theirs := dialAddress(t, l.Addr())
	defer theirs.Close()
	_, err = io.WriteString(theirs, stock)
	must(t, err)
	must(t, theirs.CloseWrite()) // it comes before, between or after all of this
	c := await(t, "the handler's Conn", h.left)
	h.wantFrames(t, what, stockLines[:lines]...)
	p := make([]byte, n)
	_, err = io.ReadFull(c, p)
	must(t, err)
	if got, want := string(p), stock[begin:begin+n]; got != want {
		t.Errorf("%s: read %q, want %q", what, got, want)
	}
	next := newCollector()
	must(t, c.Release(next)) // the codec is still that of lines
	rest := bufio.NewScanner(strings.NewReader(stock[begin+n:]))
	var want []string
	for rest.Scan() {
		want = append(want, rest.Text())
	}
	next.wantFrames(t, what, want...)
	next.wantClosed(t, session.ReasonPeerClosed)
	select {
	case reason := <-h.closed:
		t.Errorf("%s: the first handler was told of the end: %v", what, reason)
	default:
	}
}

// TestReleaseWakes who waits.
func TestReleaseWakes(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		l := listen(t, launch(t, opts...), "tcp")
		ours, theirs := pair(t, l)
		read, written := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := ours.Read(make([]byte, 1))
			read <- err
		}()
		go func() {
			_, err := ours.Write(make([]byte, 64<<20)) // more than anybody takes
			written <- err
		}()
		until(t, "output above high water", func() bool { return ours.Session().Stats().Queued > 64<<10 })
		h := newCollector()
		must(t, ours.Release(h))
		wantError(t, "Read", await(t, "end of Read", read), netconn.ErrReleased)
		wantError(t, "Write", await(t, "end of Write", written), netconn.ErrReleased)
		must(t, theirs.Close())
		await(t, "OnClose", h.closed)
	})
}

// TestSetHandlerReleases, too, and so does another New.
func TestSetHandlerReleases(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		l := listen(t, launch(t, opts...), "tcp")
		ours, theirs := pair(t, l)
		second := netconn.New(ours.Session())
		_, err := ours.Read(make([]byte, 1))
		wantError(t, "Read of the first", err, netconn.ErrReleased)
		_, err = io.WriteString(theirs, "x")
		must(t, err)
		_, err = io.ReadFull(second, make([]byte, 1))
		must(t, err)
		h := newCollector()
		second.Session().SetHandler(h)
		wantError(t, "Release", second.Release(h), netconn.ErrReleased)
		_, err = io.WriteString(theirs, "y")
		must(t, err)
		h.wantFrames(t, "after SetHandler", "y")
	})
}

// TestReleaseOfAClosedSession changes nothing, and says so.
func TestReleaseOfAClosedSession(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		l := listen(t, launch(t, opts...), "tcp")
		ours, _ := pair(t, l)
		must(t, ours.Session().Abort())
		err := ours.Release(newCollector())
		if !errors.Is(err, session.ErrClosed) {
			t.Errorf("Release returned %v, want %v", err, session.ErrClosed)
		}
	})
}
