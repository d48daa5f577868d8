package enginetest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// quiet are options of engines that start no goroutines but their own.
var quiet = []engine.Option{engine.WithMode(engine.Inline), engine.WithLogger(engine.NoLog{})}

// slowKernel takes bytes only when it is let.
type slowKernel struct {
	openGate
	asked chan int // has room for each call
	let   chan struct{}
}

func (k slowKernel) send(_ *socket, n int) int {
	k.asked <- n
	<-k.let
	return n
}

// opener is called with each session that opens.
type opener func(*session.Session)

func (f opener) OnOpen(s *session.Session)                 { f(s) }
func (f opener) OnMessage(*session.Session, session.Frame) {}

// TestEndDuringASend: the test ends while a goroutine of its own is in Send, which keeps its
// buffer and the descriptor until it returns, and that may be long after the engine's end.
func TestEndDuringASend(t *testing.T) {
	for _, handed := range []string{"lent", "owned"} {
		synctest.Test(t, func(t *testing.T) {
			k := slowKernel{asked: make(chan int, 1), let: make(chan struct{})}
			opened := make(chan *session.Session, 1)
			h := newHarness(t, k, opener(func(s *session.Session) { opened <- s }), quiet)
			h.Dial()
			s := <-opened
			go func() {
				if handed == "owned" {
					_ = s.SendOwned(make([]byte, 100), nil)
				} else {
					_ = s.Send(make([]byte, 100))
				}
			}()
			<-k.asked
			time.AfterFunc(300*time.Millisecond, func() { close(k.let) })
		})
	}
}

// observed is a test whose errors and end somebody else sees.
type observed struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (o *observed) Helper() {}

func (o *observed) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

func (o *observed) Errorf(format string, args ...any) {
	o.errors = append(o.errors, fmt.Sprintf(format, args...))
}

// end is the test's end.
func (o *observed) end() {
	for len(o.cleanups) > 0 {
		last := len(o.cleanups) - 1
		f := o.cleanups[last]
		o.cleanups = o.cleanups[:last]
		f()
	}
}

// TestLeaksFail: a frame that is retained, and a descriptor that stays open, fail the test.
func TestLeaksFail(t *testing.T) {
	for _, test := range []struct {
		leak func(*Harness, session.Frame)
		want string
	}{
		{func(*Harness, session.Frame) {}, ""},
		{func(_ *Harness, f session.Frame) { f.Retain() }, "bytes of buffers are still in use"},
		{func(h *Harness, _ session.Frame) {
			h.network.mu.Lock()
			defer h.network.mu.Unlock()
			h.network.install(&socket{})
		}, "1 descriptors are still open"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &observed{TB: t}
			met := make(chan session.Frame)
			leaks := make(chan struct{})
			h := newHarness(o, openGate{}, session.HandlerFunc(func(_ *session.Session, f session.Frame) {
				met <- f
				<-leaks
			}), quiet)
			if _, err := h.Dial().Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			test.leak(h, <-met)
			close(leaks)
			o.end()
			if got := strings.Join(o.errors, "\n"); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("the test fails with %q, want %q", got, test.want)
			}
		})
	}
}
