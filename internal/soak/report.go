//go:build linux

package main

import (
	"fmt"
	"io"
	"syscall"
	"text/tabwriter"
	"time"
)

// progress is a line per cycle.
func (s *soaking) progress(cycle int, played time.Duration) {
	fmt.Fprintf(s.out, "%v  cycle %d, played %v", round(time.Since(s.began)), cycle, round(played))
	for _, x := range s.subjects {
		last := x.samples[len(x.samples)-1]
		fmt.Fprintf(s.out, "; %s %.1f MiB, heap %.2f + %.2f kept, %d fds, %d goroutines", x.name,
			float64(last.resident)/mebi, float64(last.heap)/mebi, float64(last.kept)/mebi, last.descriptors, last.goroutines)
		if x.probe != nil {
			fmt.Fprintf(s.out, ", p99 %v (%v while busy)", roundTrip(last.p99), roundTrip(last.busyP99))
		}
	}
	fmt.Fprintln(s.out)
}

func round(d time.Duration) time.Duration     { return d.Round(100 * time.Millisecond) }
func roundTrip(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// report prints the table and the verdict:
//
//	process  what             quarters of the soak   slope/h  interval       tolerance
//	pool     resident memory  10.1 10.2 10.1 10.2    0.1      -0.2 to 0.3    8 MiB
func (s *soaking) report(c clientsState) {
	out, v := s.out, s.verdict
	total := time.Since(s.began)
	used := processorTime()
	fmt.Fprintf(out, "\nafter %v, with %.2f processors on average; what was done to each server:\n", round(total), used.Seconds()/total.Seconds())
	for _, x := range s.subjects {
		if x.stage != nil {
			b := &x.stage.books
			fmt.Fprintf(out, "  %s: %d cycles, %d connections, %d messages published, %d to members, %d of visitors were unsent, closed %v\n",
				x.name, len(x.samples), b.connections, b.published, b.dueLeast, b.unsent, b.closed)
		}
	}
	fmt.Fprintf(out, "  the mortal server ended %d times; of %d messages of its clients %d came back, %d were reported unsent, %d were with a session that ended\n",
		s.mortal.ends, c.Sent, c.Echoed, c.Unsent, c.Doubtful)
	fmt.Fprintln(out)
	v.table(out)
	fmt.Fprintln(out)
	for _, err := range v.failures {
		fmt.Fprintln(out, "FAILED:", err)
	}
	if v.untold > 0 {
		fmt.Fprintf(out, "and %d more\n", v.untold)
	}
	if !v.passed() {
		fmt.Fprintf(out, "\nagain: make soak DURATION=%v SEED=%d\n", s.duration, s.seed)
		return
	}
	fmt.Fprintln(out, "passed: nothing grows, nothing is lost, and the books balance")
}

func (v *verdict) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "process\twhat\tquarters of the soak\tper hour\t95% interval\ttolerance\t")
	for _, j := range v.judgements {
		fmt.Fprintf(w, "%s\t%s\t", j.subject, j.name)
		for _, q := range j.quarters {
			fmt.Fprintf(w, "%.4g  ", q)
		}
		fmt.Fprint(w, "\t")
		if !j.known() {
			fmt.Fprintf(w, "\t\t\t%d samples, a slope takes %d\n", j.points, pointsMin)
			continue
		}
		fmt.Fprintf(w, "%+.3g\t%+.3g to %+.3g\t%g %s\t%s\n", j.slope, j.low, j.high, j.tolerance, j.unit, mark(j.grows()))
	}
	w.Flush()
}

func mark(grows bool) string {
	if grows {
		return "GROWS"
	}
	return ""
}

// processorTime is what this process has used, and its children that have ended.
func processorTime() (used time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			used += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return used
}
