//go:build linux

package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
)

// aSoak makes the samples of a soak of half an hour, as noisy as real ones are, of a
// process to which change does something.
func aSoak(seed uint64, change func(s *sample, hours float64)) *subject {
	random := rand.New(rand.NewPCG(seed, 9))
	noise := func(most int64) int64 { return random.Int64N(most) }
	x := &subject{name: poolServer, probe: new(probe)}
	for i := range 60 {
		at := time.Duration(i) * 30 * time.Second
		s := sample{
			at: at, resident: 10*mebi + noise(mebi/2), heap: 2*mebi + noise(50_000), buffers: 128 << 10,
			descriptors: 16, goroutines: 12, threads: 9 + int(noise(2)), sessions: probeLinks,
			p99:      time.Millisecond + time.Duration(noise(5_000_000)),
			plainP99: time.Millisecond + time.Duration(noise(5_000_000)),
		}
		if i < warmUpCycles { // it has yet to grow to its size
			s.resident -= 3 * mebi
		}
		change(&s, at.Hours())
		x.samples = append(x.samples, s)
	}
	return x
}

func judged(x *subject) string {
	v := new(verdict)
	v.judge([]*subject{x})
	var text strings.Builder
	for _, err := range v.failures {
		text.WriteString(err.Error() + "\n")
	}
	return text.String()
}

func TestJudgePassesWhatStays(t *testing.T) {
	for seed := range uint64(3) {
		if got := judged(aSoak(seed, func(*sample, float64) {})); got != "" {
			t.Errorf("seed %d: %s", seed, got)
		}
	}
}

// Whatever is planted is found, and nothing else.
func TestJudgeFindsWhatGrows(t *testing.T) {
	for what, plant := range map[string]func(*sample, float64){
		"resident memory":     func(s *sample, hours float64) { s.resident += int64(hours * 16 * mebi) },
		"heap":                func(s *sample, hours float64) { s.heap += int64(hours * 2 * mebi) },
		"buffers":             func(s *sample, hours float64) { s.buffers += int64(hours * mebi) },
		"kept buffers":        func(s *sample, hours float64) { s.kept += int64(hours * 8 * mebi) },
		"descriptors":         func(s *sample, hours float64) { s.descriptors += int(hours * 30) },
		"goroutines":          func(s *sample, hours float64) { s.goroutines += int(hours * 30) },
		"threads":             func(s *sample, hours float64) { s.threads += int(hours * 60) },
		"p99 ÷ package net's": func(s *sample, hours float64) { s.p99 += time.Duration(hours * 30 * float64(time.Millisecond)) },
	} {
		got := judged(aSoak(1, plant))
		if !strings.HasPrefix(got, "pool: "+what+" grows by ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s was planted; judged %q", what, got)
		}
	}
}

// A machine that gets slower slows down package net's server, too.
func TestJudgeForgivesASlowMachine(t *testing.T) {
	got := judged(aSoak(1, func(s *sample, hours float64) {
		slower := time.Duration(1 + 10*hours)
		s.p99, s.plainP99 = s.p99*slower, s.plainP99*slower
	}))
	if got != "" {
		t.Error(got)
	}
}

func TestJudgeSaysWhatItDoesNotKnow(t *testing.T) {
	x := aSoak(1, func(s *sample, hours float64) { s.heap += int64(hours * 1000 * mebi) })
	x.samples = x.samples[:warmUpCycles+pointsMin-1]
	v := new(verdict)
	v.judge([]*subject{x})
	var out strings.Builder
	v.table(&out)
	if !v.passed() || !strings.Contains(out.String(), "7 samples, a slope takes 8") {
		t.Errorf("%v\n%s", v.failures, out.String())
	}
	v.judge([]*subject{{name: "none"}})
	if !v.passed() {
		t.Errorf("no samples: %v", v.failures)
	}
}

// balanced is a subject whose books balance.
func balanced() (*subject, sample, state) {
	x := &subject{name: poolServer, stage: &stage{books: books{
		connections: 12, closed: map[string]int64{"handler_panic": 3}, published: 5, dueLeast: 20, dueMost: 25,
	}}}
	got := sample{descriptors: 16, sockets: 3, goroutines: 12, sessions: 2}
	x.base = &got
	st := state{Handler: handlerState{Opened: 12, Closed: 10, Handled: 90, Unhandled: 10, Unsent: 7}}
	st.Engine = engine.Stats{
		Sessions: 2, Accepted: 12, Opened: 12, Closed: map[string]uint64{"handler_panic": 3, "peer_closed": 7},
		BytesIn: 100, Unhandled: 10, Unsent: 7,
	}
	st.Engine.GroupSent.Published, st.Engine.GroupSent.Delivered, st.Engine.GroupSent.Dropped = 5, 18, 4
	return x, got, st
}

// Each thing that does not agree is told, alone.
func TestDisagreementsAreTold(t *testing.T) {
	x, got, st := balanced()
	if wrong := x.disagreements(got, st); len(wrong) != 0 {
		t.Fatalf("balanced books: %q", wrong)
	}
	for want, change := range map[string]func(*sample, *state){
		"not back at the base: descriptors 16 → 17": func(s *sample, _ *state) { s.descriptors++ },
		"goroutines 12 → 13":                        func(s *sample, _ *state) { s.goroutines++ },
		"sockets: 4, but 3":                         func(s *sample, _ *state) { s.sockets++ },
		"session 7":                                 func(_ *sample, st *state) { st.Wrong = []string{"session 7"} },
		"bytes queued: 1":                           func(_ *sample, st *state) { st.Engine.Queued = 1 },
		"something to do: 1":                        func(_ *sample, st *state) { st.Engine.Waiting = 1 },
		"accepted: 13, but 12 connected":            func(_ *sample, st *state) { st.Engine.Accepted++ },
		"refusals: 1":                               func(_ *sample, st *state) { st.Engine.Refused = 1 },
		"told of as opened: 13":                     func(_ *sample, st *state) { st.Handler.Opened++ },
		"told of as closed: 11":                     func(_ *sample, st *state) { st.Handler.Closed++ },
		"closed twice: 1":                           func(_ *sample, st *state) { st.Handler.ClosedAgain = 1 },
		"bytes received: 100, but 99":               func(_ *sample, st *state) { st.Handler.Handled-- },
		"bytes unsent: 7, but 8":                    func(_ *sample, st *state) { st.Handler.Unsent++ },
		"answers refused: 1":                        func(_ *sample, st *state) { st.Handler.Refused = 1 },
		"groups: 1":                                 func(_ *sample, st *state) { st.Engine.Groups = 1 },
		"queued for groups: 1":                      func(_ *sample, st *state) { st.Engine.GroupSent.Queued = 1 },
		"published: 6":                              func(_ *sample, st *state) { st.Engine.GroupSent.Published++ },
		"accounted for 19 messages":                 func(_ *sample, st *state) { st.Engine.GroupSent.Delivered -= 3 },
		"accounted for 26 messages":                 func(_ *sample, st *state) { st.Engine.GroupSent.Expired += 4 },
		"closed as handler_panic: 2, but 3": func(_ *sample, st *state) {
			st.Engine.Closed = map[string]uint64{"handler_panic": 2, "peer_closed": 8}
		},
		"opened and not closed: 1, but 2": func(_ *sample, st *state) {
			st.Engine.Closed = map[string]uint64{"handler_panic": 3, "peer_closed": 8}
			st.Handler.Closed++
		},
	} {
		x, got, st := balanced()
		change(&got, &st)
		if wrong := x.disagreements(got, st); len(wrong) != 1 || !strings.Contains(wrong[0], want) {
			t.Errorf("want %q alone, got %q", want, wrong)
		}
	}
}

func TestDisagreementsOfClientsAreTold(t *testing.T) {
	for want, change := range map[string]func(*sample, *state){
		"nobody knows of 1":             func(_ *sample, st *state) { st.Clients.Echoed-- },
		"2 completions of 3":            func(_ *sample, st *state) { st.Clients.Notified-- },
		"5 connects, 2 disconnects":     func(_ *sample, st *state) { st.Clients.Connects++ },
		"2 connected, 2 sessions and 3": func(s *sample, _ *state) { s.sockets++ },
		"a mistake":                     func(_ *sample, st *state) { st.Clients.Mistakes = []string{"a mistake"} },
	} {
		x, got := &subject{name: clientsSubject}, sample{sockets: 2}
		st := state{Clients: clientsState{
			Connected: 2, Connects: 4, Disconnects: 2, Sent: 10, Echoed: 7, Unsent: 1, Doubtful: 2, Notify: 3, Notified: 3,
		}}
		st.Engine.Sessions, st.Engine.Opened, st.Engine.Closed = 2, 4, map[string]uint64{"peer_reset": 2}
		if wrong := x.disagreements(got, st); len(wrong) != 0 {
			t.Fatalf("balanced books: %q", wrong)
		}
		change(&got, &st)
		if wrong := x.disagreements(got, st); len(wrong) != 1 || !strings.Contains(wrong[0], want) {
			t.Errorf("want %q alone, got %q", want, wrong)
		}
	}
}
