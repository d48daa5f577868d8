package session_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// attendant writes down what it is told.
type attendant struct {
	log    *[]string
	opened func(*session.Session)
	lost   session.Lost
	reason *session.CloseError
}

func (a *attendant) Opened(s *session.Session) {
	*a.log = append(*a.log, "Opened")
	if a.opened != nil {
		a.opened(s)
	}
}

func (a *attendant) Closed(_ *session.Session, reason *session.CloseError, lost session.Lost) {
	*a.log = append(*a.log, "Closed")
	a.reason, a.lost = reason, lost
}

// attendedRig is a session with an attendant and a handler that write into log.
func attendedRig(t *testing.T, log *[]string, change func(*parts, *attendant)) (*rig, *attendant) {
	note := func(what string) { *log = append(*log, what) }
	h := &parts{
		open:    func(*session.Session) { note("OnOpen") },
		message: func(*session.Session, session.Frame) { note("OnMessage") },
		close:   func(*session.Session, error) { note("OnClose") },
	}
	a := &attendant{log: log}
	change(h, a)
	return newRig(t, session.Attended(session.Framed(h, frame.Lines()), a, transport.Key{})), a
}

func TestAttendantComesLast(t *testing.T) {
	var log []string
	r, a := attendedRig(t, &log, func(_ *parts, a *attendant) {
		a.opened = func(s *session.Session) {
			wantError(t, "Send in Opened", s.Send([]byte("from Opened")), nil)
		}
	})
	r.driver.Open()
	r.deliver("x\n")
	if want := []string{"OnOpen", "Opened", "OnMessage"}; !slices.Equal(log, want) {
		t.Errorf("calls %q, want %q", log, want)
	}
	r.wantTaken("from Opened\n")
	r.session.SetHandler(&parts{close: func(*session.Session, error) { log = append(log, "another's OnClose") }})
	log = nil
	why := r.close()
	if want := []string{"another's OnClose", "Closed"}; !slices.Equal(log, want) {
		t.Errorf("calls %q, want %q", log, want)
	}
	if a.reason != why {
		t.Errorf("Closed got %v, OnClose %v", a.reason, why)
	}
}

func TestAttendantSurvivesHandlers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*parts, *attendant)
		want   []string
	}{
		"OnOpen panics": {
			func(h *parts, _ *attendant) { h.open = func(*session.Session) { panic("as asked") } },
			[]string{"OnClose", "Closed"},
		},
		"OnClose panics": {
			func(h *parts, _ *attendant) { h.close = func(*session.Session, error) { panic("as asked") } },
			[]string{"OnOpen", "Opened", "Closed"},
		},
		"Opened panics": {
			func(_ *parts, a *attendant) { a.opened = func(*session.Session) { panic("as asked") } },
			[]string{"OnOpen", "Opened", "OnClose", "Closed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			r, _ := attendedRig(t, &log, c.change)
			r.driver.Open()
			r.close()
			if !slices.Equal(log, c.want) || len(r.panics) != 1 {
				t.Errorf("calls %q, want %q; panics %v", log, c.want, r.panics)
			}
		})
	}
}

// What was kept for the session goes out whatever its limits, framed by its codec.
func TestSendKept(t *testing.T) {
	var log []string
	r, _ := attendedRig(t, &log, func(*parts, *attendant) {})
	wantError(t, "before it is open", r.driver.SendKept([]byte("x"), nil), session.ErrNotConnected)
	r.driver.Open()
	r.link.script = []answer{again}
	var want []byte
	told := 0
	for i := range 2000 { // far above the cap, and more completions than may wait
		line := fmt.Sprint("line ", i)
		want = append(want, line+"\n"...)
		wantError(t, line, r.driver.SendKept([]byte(line), func(err error) {
			wantError(t, line, err, nil)
			told++
		}), nil)
	}
	var bad *frame.Error
	if err := r.driver.SendKept([]byte("no\nline"), func(error) { t.Error("told of a message that was refused") }); !errors.As(err, &bad) {
		t.Errorf("no line: %v, want a frame.Error", err)
	}
	wantError(t, "above the cap", r.session.Send(make([]byte, testCap)), session.ErrBufferFull)
	r.driver.Writable()
	r.wantTaken(string(want))
	for range 2000 / 256 { // what one run does
		r.driver.Status()
	}
	if told != 2000 {
		t.Errorf("%d completions were called", told)
	}
	wantError(t, "Close", r.session.Close(), nil)
	wantError(t, "after Close", r.driver.SendKept([]byte("x"), nil), session.ErrClosed)
}

// Lost agrees with a model, whatever the kernel takes of what is written how: messages
// that were sent in part are lost, and completions are told of theirs.
func TestLostCountsMessages(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var log []string
		r, a := attendedRig(t, &log, func(*parts, *attendant) {})
		r.session.SetCodec([]frame.Codec{nil, frame.Lines()}[random.IntN(2)])
		around := 0
		if r.driver.Framed() {
			around = 1
		}
		r.driver.Open()
		var ends []int // where each message ends, of all bytes that were sent
		completions, failures, total := 0, 0, 0
		for range random.IntN(60) {
			switch random.IntN(4) {
			case 0:
				r.link.script = append(r.link.script, answer{n: random.IntN(200)}, again)
				r.driver.Writable()
			default:
				p := make([]byte, []int{0, 1, 60, 127, 128, 300, 5000}[random.IntN(7)])
				notify := random.IntN(3) == 0
				var err error
				if notify {
					err = r.session.SendNotify(p, func(err error) {
						if completions--; err != nil {
							failures++
						}
					})
				} else {
					err = r.session.Send(p)
				}
				if err != nil {
					continue
				}
				if notify {
					completions++
				}
				total += len(p) + around
				ends = append(ends, total)
			}
			if random.IntN(8) == 0 {
				r.link.set(&again)
			} else {
				r.link.set(nil)
			}
		}
		r.link.set(&answer{errno: syscall.EAGAIN})
		taken := len(r.link.taken())
		why := r.close()
		lost := 0
		for _, end := range ends {
			if end > taken {
				lost++
			}
		}
		if a.lost.Messages != lost || why.Unsent != total-taken {
			t.Errorf("seed %d: %d messages lost, want %d; %d bytes unsent, want %d", seed, a.lost.Messages, lost, why.Unsent, total-taken)
		}
		if completions != 0 || a.lost.Notified != failures {
			t.Errorf("seed %d: %d completions were not called; Notified is %d, want %d", seed, completions, a.lost.Notified, failures)
		}
	}
}

// What one session lost is not counted for the next one that has its queue.
func TestLostIsOneSessionsOwn(t *testing.T) {
	var log []string
	r, a := attendedRig(t, &log, func(*parts, *attendant) {})
	for round := range 20 { // the queue may not come from the pool
		link := &fakeLink{shared: r.shared, refs: 1, otherwise: &again}
		s := session.New(8, link, testPeer, time.Unix(100, 0), session.NewBehaviour(session.Attended(&parts{}, a, transport.Key{})))
		d := session.Drive(s, transport.Key{})
		d.Open()
		wantError(t, "Send", s.Send([]byte("x")), nil)
		d.Close()
		link.Release()
		if a.lost.Messages != 1 {
			t.Fatalf("session %d: %d messages lost, want 1", round, a.lost.Messages)
		}
	}
}
