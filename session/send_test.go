package session_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

func TestSendWritesAtOnceOutsideHandlers(t *testing.T) {
	r := openRig(t, &parts{})
	r.send("one")
	r.send("two")
	r.wantTaken("onetwo")
	r.wantWrites(2)
	r.wantAttended(false)
}

func TestSendGathersInEachHandler(t *testing.T) {
	twice := func(s *session.Session) {
		_ = s.Send([]byte("a"))
		_ = s.Send([]byte("b"))
	}
	r := newRig(t, &parts{
		open:      twice,
		message:   func(s *session.Session, _ session.Frame) { twice(s) },
		peerClose: twice,
	}, func(s *transport.Shared) { s.HalfOpen = true })
	for _, call := range []func() transport.Status{
		func() transport.Status { st, _ := r.driver.Open(); return st },
		func() transport.Status { return r.deliver("x") },
		r.driver.PeerClosed,
	} {
		if st := call(); st != 0 {
			t.Errorf("status %08b, want 0", st)
		}
		r.wantWrites(1)
	}
	r.wantTaken("ababab")
	r.wantAttended(false)
}

func TestCorkWritesAt64KB(t *testing.T) {
	chunk := bytes.Repeat([]byte("c"), 16<<10)
	var r *rig
	var seen []int
	r = openRig(t, &parts{message: func(s *session.Session, _ session.Frame) {
		for range 9 {
			if err := s.Send(chunk); err != nil {
				t.Error(err)
			}
			seen = append(seen, len(r.link.taken())>>10)
		}
	}}, func(s *transport.Shared) { s.Cap, s.HighWater = 1<<20, 1<<19 })
	r.deliver("x")
	want := []int{0, 0, 0, 64, 64, 64, 64, 128, 128}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("KB written after each Send: %v, want %v", seen, want)
		}
	}
	r.wantTaken(strings.Repeat("c", 9*16<<10))
}

func TestFlushInHandlerWritesNow(t *testing.T) {
	var r *rig
	r = openRig(t, &parts{message: func(s *session.Session, _ session.Frame) {
		_ = s.Send([]byte("now"))
		r.wantTaken("")
		wantError(t, "Flush", s.Flush(), nil)
		r.wantTaken("now")
		_ = s.Send([]byte("later"))
		r.wantTaken("now")
	}})
	r.deliver("x")
	r.wantTaken("nowlater")
}

// Another goroutine flushes while the loop is in a handler, and meets a full
// kernel after the handler has returned: the loop must be told.
func TestFlushFromElsewhereTellsTheLoop(t *testing.T) {
	inKernel, goOn, flushed := make(chan struct{}), make(chan struct{}), make(chan error)
	r := openRig(t, &parts{message: func(s *session.Session, _ session.Frame) {
		_ = s.Send([]byte("reply"))
		go func() { flushed <- s.Flush() }()
		<-inKernel
	}})
	r.link.script = []answer{again}
	r.link.during = func() {
		inKernel <- struct{}{}
		<-goOn
	}
	if st := r.deliver("x"); st != 0 {
		t.Fatalf("status %08b while somebody writes", st)
	}
	goOn <- struct{}{}
	wantError(t, "Flush", <-flushed, nil)
	r.wantAttended(true)
	r.wantStatus(transport.Blocked)
	r.link.during = nil
	r.driver.Writable()
	r.wantTaken("reply")
}

// The second sender finds the write side taken and leaves its bytes with the
// first one, which is in the kernel.
func TestSendersCombine(t *testing.T) {
	r := openRig(t, &parts{})
	inKernel, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.link.during = func() {
		once.Do(func() {
			close(inKernel)
			<-goOn
		})
	}
	done := make(chan error)
	go func() { done <- r.session.Send([]byte("first,")) }()
	<-inKernel
	r.send("second,")
	r.send("third")
	r.wantTaken("")
	close(goOn)
	wantError(t, "Send", <-done, nil)
	r.wantTaken("first,second,third")
	r.wantWrites(2)
	r.wantStatus(0)
}

// While one sender is in the kernel, others fill the queue beyond high water and
// the loop pauses. When the first one has written everything, the loop must hear
// of it, although the status is then what the first one started with.
func TestPausedWhileWritingIsUndone(t *testing.T) {
	r := openRig(t, &parts{})
	inKernel, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.link.during = func() {
		once.Do(func() {
			close(inKernel)
			<-goOn
		})
	}
	done := make(chan error)
	go func() { done <- r.session.Send([]byte("x")) }()
	<-inKernel
	r.send(strings.Repeat("y", testHigh))
	r.wantAttended(true)
	r.wantStatus(transport.Paused) // the loop looks, and pauses
	close(goOn)
	wantError(t, "Send", <-done, nil)
	r.wantAttended(true)
	r.wantStatus(0)
}

func TestSendOfTheFrameTakesNoCopy(t *testing.T) {
	var r *rig
	var before int64
	r = openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
		before = r.shared.Pool.Stats().Gets
		_ = s.Send(f.Bytes())
		_ = s.Send(f.Bytes()[2:4])
		_ = s.Send(f.Bytes()[4:6])
		if got := r.shared.Pool.Stats().Gets; got != before {
			t.Errorf("%d segments were taken for a copy", got-before)
		}
		if !r.segment.Shared() {
			t.Error("the segment is not shared while its bytes are queued")
		}
	}})
	r.deliver("abcdef")
	r.wantTaken("abcdefcdef")
	if r.segment.Shared() {
		t.Error("the segment is still shared after everything was written")
	}
}

func TestSendOfOtherBytesCopies(t *testing.T) {
	var r *rig
	r = openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
		other := []byte("mine")
		_ = s.Send(other)
		copy(other, "XXXX") // allowed: Send has returned
		if r.segment.Shared() {
			t.Error("the segment is shared, though none of its bytes was sent")
		}
	}})
	r.deliver("abcdef")
	r.wantTaken("mine")
}

// Nor may it when somebody else was writing when the handler returned, so that
// the handler's bytes could not be copied then.
func TestSegmentIsNotPinnedByAnothersWrite(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }})
	r.link.script = []answer{{n: 2}, again}
	r.link.during = func() {
		r.link.during = nil
		r.deliver("abcdef") // on the loop, while "xyz" is on its way to the kernel
		if !r.segment.Shared() {
			t.Error("the handler's bytes were copied under the write")
		}
	}
	r.send("xyz")
	if r.segment.Shared() {
		t.Error("the queue still lies in the loop's segment")
	}
	r.link.script = nil
	r.driver.Writable()
	r.wantTaken("xyzabcdef")
}

// What the kernel does not take must not stay in the loop's segment.
func TestRemainderIsCopiedOutOfTheSegment(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }})
	r.link.script = []answer{{n: 2}, again}
	if st := r.deliver("abcdef"); st != transport.Blocked {
		t.Errorf("status %08b, want Blocked", st)
	}
	if r.segment.Shared() {
		t.Error("the queue still lies in the loop's segment")
	}
	copy(r.segment.Bytes(), "XXXXXX")
	if st := r.driver.Writable(); st != 0 {
		t.Errorf("status %08b, want 0", st)
	}
	r.wantTaken("abcdef")
}

// The same for a plain Send: p belongs to the caller again when it returns.
func TestRemainderOfASendIsCopied(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{{n: 2}, again}
	p := []byte("abcdef")
	wantError(t, "Send", r.session.Send(p), nil)
	copy(p, "XXXXXX")
	r.driver.Writable()
	r.wantTaken("abcdef")
}

func TestBlockedUntilWritable(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{again}
	r.send("one")
	r.wantAttended(true)
	r.wantStatus(transport.Blocked)
	r.link.writes()
	r.send("two")
	r.wantWrites(0) // nobody tries while it is known to be full
	r.wantAttended(false)
	wantError(t, "Flush", r.session.Flush(), nil)
	r.wantWrites(0)
	if got := r.driver.Progress(); got != 0 {
		t.Errorf("progress %d, want 0", got)
	}
	if st := r.driver.Writable(); st != 0 {
		t.Errorf("status %08b, want 0", st)
	}
	r.wantTaken("onetwo")
	r.wantWrites(1)
	if got := r.driver.Progress(); got != 6 {
		t.Errorf("progress %d, want 6", got)
	}
}

// Writable that comes between the kernel's EAGAIN and its being recorded must
// not be lost.
func TestWritableWhileTheWriteSideIsHeld(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{again}
	var once sync.Once
	r.link.during = func() {
		once.Do(func() {
			if st := r.driver.Writable(); st != 0 {
				t.Errorf("status %08b, want 0", st)
			}
		})
	}
	r.send("now")
	r.wantTaken("now")
	r.wantStatus(0)
}

// A Writable of an earlier write must not count for a later one.
func TestOldWritableDoesNotCount(t *testing.T) {
	r := openRig(t, &parts{})
	var once sync.Once
	r.link.during = func() { once.Do(func() { r.driver.Writable() }) }
	r.send("one")
	r.link.script = []answer{again}
	r.send("two")
	r.wantStatus(transport.Blocked)
}

func TestOneHolderWritesAMegabyteAtMost(t *testing.T) {
	r := openRig(t, &parts{}, func(s *transport.Shared) { s.HighWater, s.Cap = 8<<20, 8<<20 })
	big := strings.Repeat("b", 3<<20)
	r.send(big)
	if got := len(r.link.taken()); got != 1<<20 {
		t.Fatalf("%d bytes written by the sender, want 1 MiB", got)
	}
	r.wantAttended(true)
	r.wantStatus(transport.Pending)
	for i := 0; r.driver.Status()&transport.Pending != 0; i++ {
		if i > 2 {
			t.Fatal("the loop's turns do not get it written")
		}
		r.driver.Writable()
	}
	r.wantTaken(big)
}

func TestWaterMarks(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{again}
	r.send(strings.Repeat("a", testHigh-1))
	r.wantAttended(true) // blocked
	r.wantStatus(transport.Blocked)
	r.send("b")
	r.wantAttended(true)
	r.wantStatus(transport.Blocked | transport.Paused)
	r.send("c")
	r.wantAttended(false) // nothing new

	r.link.script = []answer{{n: testHigh - testLow}, again} // testLow+1 stay
	if st := r.driver.Writable(); st != transport.Blocked|transport.Paused {
		t.Errorf("status %08b above low water", st)
	}
	r.link.script = []answer{{n: 1}, again}
	if st := r.driver.Writable(); st != transport.Blocked {
		t.Errorf("status %08b at low water", st)
	}
	r.wantAttended(false) // the loop asked itself
}

func TestCapOfTheSession(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	r.send(strings.Repeat("a", testHigh-1))
	r.send(strings.Repeat("b", 2*testCap)) // below high water: taken whatever its size
	queued := r.session.Stats().Queued
	for name, err := range map[string]error{
		"Send":      r.session.Send([]byte("c")),
		"SendOwned": r.session.SendOwned([]byte("c"), func() { t.Error("released, though refused") }),
	} {
		wantError(t, name, err, session.ErrBufferFull)
	}
	if got := r.session.Stats(); got.Queued != queued || got.MessagesOut != 2 {
		t.Errorf("a refused message was counted: %+v", got)
	}
}

func TestCapAboveHighWater(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	r.send(strings.Repeat("a", testHigh))
	r.send(strings.Repeat("b", testCap-testHigh)) // fits exactly
	wantError(t, "Send", r.session.Send([]byte("c")), session.ErrBufferFull)
}

func TestCapOfTheEngine(t *testing.T) {
	r := openRig(t, &parts{}, func(s *transport.Shared) { s.QueuedCap = 100 })
	r.link.otherwise = &again
	r.send(strings.Repeat("a", 60))
	if got := r.shared.Queued.Load(); got != 60 {
		t.Errorf("the engine counts %d bytes, want 60", got)
	}
	wantError(t, "Send", r.session.Send(make([]byte, 41)), session.ErrBufferFull)
	r.send(strings.Repeat("b", 40))
	r.link.otherwise = nil
	r.driver.Writable()
	if got := r.shared.Queued.Load(); got != 0 {
		t.Errorf("the engine counts %d bytes, want 0", got)
	}
}

// The last quarter of what the engine may queue is for sessions that have little: who
// has much does not have the others refused.
func TestReserveForThoseWithLittle(t *testing.T) {
	const total, most = 100_000, 75_000
	r := openRig(t, &parts{}, func(s *transport.Shared) {
		s.QueuedCap, s.Cap, s.HighWater, s.LowWater = total, 1<<20, 1<<20, 1<<10
	})
	r.link.otherwise = &again
	r.send(strings.Repeat("a", most-1))
	wantError(t, "Send of what is too much", r.session.Send([]byte("bb")), session.ErrBufferFull)
	wantError(t, "SendContext of what never fits", r.session.SendContext(t.Context(), make([]byte, most+1)), session.ErrBufferFull)
	r.send("c")
	wantError(t, "Send to one who has much", r.session.Send([]byte("d")), session.ErrBufferFull)

	link := &fakeLink{shared: r.shared, refs: 1, options: map[sock.Option]int{}, otherwise: &again}
	other := session.New(8, link, testPeer, time.Unix(100, 0), session.NewBehaviour(&parts{}))
	driver := session.Drive(other, transport.Key{})
	driver.Open()
	wantError(t, "Send of much to another", other.Send(make([]byte, 4<<10+1)), session.ErrBufferFull)
	wantError(t, "Send to another", other.Send(make([]byte, 4<<10)), nil)
	wantError(t, "Send to one who has no longer little", other.Send([]byte("e")), session.ErrBufferFull)
	driver.Close()
	link.Release()
}

func TestSendOfNothing(t *testing.T) {
	r := openRig(t, &parts{})
	r.send("")
	released := 0
	wantError(t, "SendOwned", r.session.SendOwned(nil, func() { released++ }), nil)
	if released != 1 {
		t.Errorf("released %d times, want 1", released)
	}
	r.wantWrites(0)
	r.wantStatus(0)
}

func TestSendOwnedReleasesOnce(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"sent":    func(r *rig) { r.link.otherwise = nil; r.driver.Writable() },
		"closed":  func(r *rig) { r.close() },
		"aborted": func(r *rig) { _ = r.session.Abort(); r.close() },
		"failed": func(r *rig) {
			r.link.otherwise = &answer{errno: syscall.EPIPE}
			r.driver.Writable()
			r.close()
		},
		"closed while writing": func(r *rig) {
			r.link.otherwise = nil
			r.link.during = func() {
				r.link.during = nil
				r.closed = true
				r.driver.Close()
				r.link.Release()
			}
			r.driver.Writable()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := openRig(t, &parts{})
			r.link.otherwise = &again
			released := 0
			p := []byte("owned")
			wantError(t, "SendOwned", r.session.SendOwned(p, func() { released++ }), nil)
			if released != 0 {
				t.Fatal("released while it is queued")
			}
			end(r)
			if released != 1 {
				t.Errorf("released %d times, want 1", released)
			}
		})
	}
}

func TestSendOwnedIsNotReleasedAfterAnError(t *testing.T) {
	r := openRig(t, &parts{})
	_ = r.session.Close()
	err := r.session.SendOwned([]byte("x"), func() { t.Error("released") })
	wantError(t, "SendOwned", err, session.ErrClosed)
}

func TestOrderOfAllKindsOfSend(t *testing.T) {
	for name, script := range map[string][]answer{
		"at once":       nil,
		"byte by byte":  {{n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}},
		"blocked first": {again},
		"in the middle": {{n: 5}, again, {n: 3}, again},
	} {
		t.Run(name, func(t *testing.T) {
			r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
				_ = s.Send(f.Bytes()[:3])
				_ = s.SendOwned([]byte("owned"), nil)
				_ = s.Send([]byte("copied"))
				_ = s.Send(f.Bytes()[3:])
			}})
			r.link.script = script
			st := r.deliver("abcdef")
			for i := 0; st != 0; i++ {
				if i > 10 {
					t.Fatal("never written")
				}
				st = r.driver.Writable()
			}
			r.wantTaken("abcownedcopieddef")
		})
	}
}

func TestFailedWrite(t *testing.T) {
	for errno, reason := range map[syscall.Errno]session.Reason{
		syscall.EPIPE:        session.ReasonPeerReset,
		syscall.ECONNRESET:   session.ReasonPeerReset,
		syscall.ECONNABORTED: session.ReasonPeerReset,
		syscall.ENOBUFS:      session.ReasonIOError,
	} {
		var got []string
		r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
			got = append(got, string(f.Bytes()))
			wantError(t, "Send", s.Send(f.Bytes()), session.ErrClosed)
		}})
		r.link.script = []answer{{n: 2}, {errno: errno}}
		r.send("hello") // nil: OnClose tells what was not sent
		r.wantAttended(true)
		r.wantStatus(transport.Failed)
		r.deliver("tail") // what the peer sent before is still delivered
		if len(got) != 1 {
			t.Errorf("%v: delivered %q after the failure", errno, got)
		}
		r.link.writes()
		r.driver.Writable()
		r.wantWrites(0)
		reasonGot := r.close()
		if reasonGot.Reason != reason || reasonGot.Unsent != 3 || !errors.Is(reasonGot, errno) {
			t.Errorf("%v: closed with %#v, want %v with 3 bytes unsent", errno, reasonGot, reason)
		}
	}
}

func TestUnsent(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{{n: 3}, again}
	r.send("0123456789")
	r.send("abc")
	if got := r.close(); got.Unsent != 10 || got.InWrite != 0 {
		t.Errorf("%d bytes unsent, %d in a write; want 10 and 0", got.Unsent, got.InWrite)
	}
	if len(r.closes) != 1 || !errors.Is(r.closes[0], net.ErrClosed) {
		t.Errorf("OnClose got %v", r.closes)
	}
}

// What the loop was told is what it saw last, not what it was asked to look at.
func TestLoopIsToldAgain(t *testing.T) {
	r := openRig(t, &parts{})
	for range 3 {
		r.link.script = []answer{again}
		r.send("x")
		r.wantAttended(true)
		if st := r.driver.Writable(); st != 0 {
			t.Fatalf("status %08b, want 0", st)
		}
	}
}

// headPanics is a codec that cannot frame.
type headPanics struct{ frame.Codec }

func (headPanics) Head([]byte, []byte) ([]byte, error) { panic("in Head") }

// A codec of the user's panics when a handler sends: the session ends, and nobody finds it
// locked.
func TestCodecThatPanicsInSend(t *testing.T) {
	for name, send := range map[string]func(s *session.Session, p []byte) error{
		"Send":         (*session.Session).Send,
		"SendAndClose": func(s *session.Session, p []byte) error { return s.SendAndClose(p, nil) },
		"SendOwned":    func(s *session.Session, p []byte) error { return s.SendOwned(p, nil) },
		"SendNotify":   func(s *session.Session, p []byte) error { return s.SendNotify(p, func(error) {}) },
		"SendContext":  func(s *session.Session, p []byte) error { return s.SendContext(t.Context(), p) },
	} {
		t.Run(name, func(t *testing.T) {
			r := openRig(t, session.Framed(&parts{message: func(s *session.Session, f session.Frame) {
				_ = send(s, f.Bytes())
			}}, headPanics{frame.Lines()}))
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r.deliver("x\n")
				r.driver.Status()
			}()
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				panic("the session is locked for ever")
			}
			if reason := r.close(); reason.Reason != session.ReasonHandlerPanic || len(r.panics) != 1 {
				t.Errorf("closed with %v, panics reported: %v", reason, r.panics)
			}
		})
	}
}

// tailPanics is a codec whose Tail panics while it is told to.
type tailPanics struct {
	frame.Codec
	now bool
}

func (c *tailPanics) Tail(dst []byte) []byte {
	if c.now {
		panic("in Tail")
	}
	return c.Codec.Tail(dst)
}

// What cannot be framed to its end is not queued: not its head, and not a view of memory that
// is the caller's again.
func TestCodecThatPanicsInTail(t *testing.T) {
	for _, size := range []int{10, 5000} {
		codec := &tailPanics{frame.Lines(), true}
		r := openRig(t, session.Framed(&parts{}, codec))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Send did not panic")
				}
			}()
			_ = r.session.Send(bytes.Repeat([]byte("a"), size))
		}()
		codec.now = false
		must(t, r.session.Send([]byte("next")))
		if got := string(r.link.took); got != "next\n" {
			t.Errorf("the kernel took %.40q of %d bytes", got, len(got))
		}
	}
}

// A release function panics in the middle of a write: that goes on.
func TestReleasePanics(t *testing.T) {
	var told []any
	r := openRig(t, &parts{}, func(s *transport.Shared) {
		s.Pool = buffer.NewPool(buffer.Config{Panicked: func(value any) { told = append(told, value) }})
	})
	must(t, r.session.SendOwned([]byte("x"), func() { panic("release") }))
	must(t, r.session.Send([]byte("next")))
	if got := string(r.link.took); got != "xnext" || len(told) != 1 {
		t.Errorf("the kernel got %q, want xnext; panics told of: %v", got, told)
	}
}
