//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// verdict is what a result comes to.
type verdict string

// The verdicts.
const (
	met          verdict = "met"
	notMet       verdict = "NOT MET"
	notPromised  verdict = "not promised"
	cannotRun    verdict = "cannot run here"
	doesNotApply verdict = "does not apply"
)

// result is what one fault did to one server.
type result struct {
	Row      int    `json:"row"`
	Fault    string `json:"fault"`
	Server   string `json:"server"`
	How      string `json:"injected"`
	Required string `json:"required"`

	Seen     []string `json:"seen"`
	Failures []string `json:"failures,omitempty"`

	// Healthy clients, before the fault and during it.
	Clients int     `json:"clients"`
	Before  latency `json:"before"`
	During  latency `json:"during"`
	Broken  int     `json:"broken"`

	// What the server used before the fault and when it was over.
	Base    usage         `json:"base"`
	After   usage         `json:"after"`
	Settled time.Duration `json:"settled_ns"` // after which time
	Back    bool          `json:"back"`

	Excused    string `json:"excused,omitempty"`    // why the fault does not apply
	Unpromised string `json:"unpromised,omitempty"` // why the server promises nothing
	Cannot     string `json:"cannot,omitempty"`     // why the machine cannot do it

	Verdict verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // if it is not met

	limit time.Duration // for the healthy clients' p99
	worst time.Duration // for each of their messages
	late  []string      // what took too long, as it may on a machine that is busy for a moment
	slow  bool          // nothing is wrong but that, and how long healthy clients waited
}

// Bounds on what healthy clients may feel, if a fault has no others.
const (
	healthyMax = 100 * time.Millisecond // p99
	worstMax   = time.Second            // each message
)

// see notes what happened.
func (r *result) see(format string, args ...any) {
	r.Seen = append(r.Seen, fmt.Sprintf(format, args...))
}

// fail notes what should not have happened.
func (r *result) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

// require notes what should have been.
func (r *result) require(ok bool, format string, args ...any) {
	if !ok {
		r.fail(format, args...)
	}
}

// hurry notes what should not have taken so long.
func (r *result) hurry(took, limit time.Duration, what string) {
	if took > limit {
		r.late = append(r.late, fmt.Sprintf("%s took %v, at most %v is allowed", what, round(took), round(limit)))
	}
}

// judge comes to a verdict. What cannot be run is not judged at all.
func (r *result) judge() {
	switch {
	case r.Excused != "":
		r.Verdict, r.Why = doesNotApply, r.Excused
		return
	case r.Cannot != "":
		r.Verdict, r.Why = cannotRun, r.Cannot
		return
	}
	failures, slowness := slices.Clone(r.Failures), slices.Clone(r.late)
	if r.Clients > 0 {
		failures = append(failures, r.felt()...)
		slowness = append(slowness, r.slowness()...)
	}
	r.slow = len(failures) == 0 && len(slowness) > 0
	failures = append(failures, slowness...)
	switch {
	case len(failures) == 0:
		r.Verdict = met
	case r.Unpromised != "":
		r.Verdict, r.Why = notPromised, r.Unpromised+"; "+strings.Join(failures, "; ")
	default:
		r.Verdict, r.Why = notMet, strings.Join(failures, "; ")
	}
}

// felt tells what the fault did to others, and what it left behind.
func (r *result) felt() (failures []string) {
	if r.Before.Count == 0 || r.During.Count == 0 {
		failures = append(failures, "healthy clients measured nothing")
	}
	if r.Broken > 0 {
		failures = append(failures, fmt.Sprintf("%d healthy clients lost their connection", r.Broken))
	}
	if !r.Back {
		failures = append(failures, "not back at base: "+r.usage())
	}
	return failures
}

// slowness tells whether healthy clients waited for too long.
func (r *result) slowness() (failures []string) {
	if r.During.P99 > r.limit {
		failures = append(failures, fmt.Sprintf("p99 of healthy clients is %v, at most %v is allowed", round(r.During.P99), round(r.limit)))
	}
	if worst := max(r.worst, r.limit); r.During.Worst > worst {
		failures = append(failures, fmt.Sprintf("a healthy client waited for %v, at most %v is allowed", round(r.During.Worst), round(worst)))
	}
	return failures
}

// bad tells whether the harness must fail: ours, and not met.
func (r result) bad(k kind) bool { return k.weir && r.Verdict == notMet }

// usage is what was used before and after.
func (r result) usage() string {
	return fmt.Sprintf("descriptors %d → %d, goroutines %d → %d, memory %d → %d MiB",
		r.Base.Descriptors, r.After.Descriptors, r.Base.Goroutines, r.After.Goroutines,
		r.Base.Resident>>20, r.After.Resident>>20)
}

// round drops digits that nobody reads.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second / 10)
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond / 10)
	}
	return d.Round(time.Microsecond)
}
