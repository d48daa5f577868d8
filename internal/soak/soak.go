//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A soak is cycles, each the same list of acts with sizes and order drawn anew:
//
//  1. acts are played to the servers, several side by side, and the probes go on
//  2. the lasting clients are silent; everybody else leaves, and no session must be left
//     of those who left
//  3. the probes measure, with nothing else going on
//  4. they rest, garbage is collected, and samples are taken: at these moments
//     everything is as it was at those before, if nothing leaks
//  5. the books are compared
//
// At the end the samples are judged.

// lasting are the servers that live as long as the soak.
var lasting = []string{poolServer, inlineServer}

// clientsSubject is the name of the third process that does.
const clientsSubject = "clients"

const (
	cycleMax    = 2 * time.Minute // more than a cycle may take
	failuresMax = 5               // so many end the soak
)

// soaking is a soak under way.
type soaking struct {
	settings
	out      io.Writer
	began    time.Time
	subjects []*subject
	plain    *subject // to compare with; not judged
	crowd    *child
	mortal   *mortal
	verdict  *verdict
}

// subject is a process that lives as long as the soak.
type subject struct {
	name  string
	child *child
	stage *stage // nil: nothing is played to it
	probe *probe // nil: it has none

	busy    []time.Duration // round trips of the probe during the acts of this cycle
	calm    time.Duration   // p99 of the probe after them
	base    *sample         // what it must come back to; nil: not known yet
	samples []sample
}

// soak plays cycles until its time is up, at least one, or until ctx is done or too much has
// failed, and reports. The error tells why it could not begin.
func soak(ctx context.Context, set settings, out io.Writer) (*verdict, error) {
	s := &soaking{settings: set, out: out, began: time.Now(), verdict: new(verdict)}
	fmt.Fprintf(out, "soak of %v, seed %d\n", s.duration, s.seed)
	defer s.end()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	inTime := func() bool { return time.Since(s.began) < s.duration }
	for cycle := 0; (cycle == 0 || inTime()) && ctx.Err() == nil && s.verdict.failed() < failuresMax; cycle++ {
		if !s.cycle(ctx, cycle) {
			break
		}
	}
	if ctx.Err() != nil {
		fmt.Fprintln(out, "interrupted")
	}
	var last state
	if err := s.crowd.ask(&last, "state"); err != nil {
		s.verdict.fail(out, "%w", err)
	}
	s.end() // so that it is known what processes have used
	s.verdict.judge(s.subjects)
	s.report(last.Clients)
	return s.verdict, nil
}

// begin starts all processes and connects the probes.
func (s *soaking) begin(ctx context.Context) error {
	var err error
	if s.mortal, err = newMortal(s.settings); err != nil {
		return err
	}
	if s.crowd, _, err = greetedChild(clientsSubject, clientsRole, fmt.Sprint(s.members()), s.mortal.address); err != nil {
		return err
	}
	for _, kind := range lasting {
		x, err := s.startSubject(kind, "-stall="+s.stall().String(), "-frame="+s.frameTimeout().String(), "-leak="+s.leak)
		if err != nil {
			return err
		}
		s.subjects = append(s.subjects, x)
	}
	s.subjects = append(s.subjects, &subject{name: clientsSubject, child: s.crowd})
	if s.plain, err = s.startSubject(plainServer); err != nil {
		return err
	}
	s.mortal.crowd = s.crowd
	return s.mortal.begin(ctx, poolServer, 0)
}

// startSubject starts a server of a kind, with a probe.
func (s *soaking) startSubject(kind string, args ...string) (*subject, error) {
	c, address, err := greetedChild(kind, append([]string{serveRole, kind}, args...)...)
	if err != nil {
		return nil, err
	}
	x := &subject{name: kind, child: c}
	if x.probe, err = startProbe(address); err != nil {
		c.stop()
		return nil, err
	}
	x.stage = &stage{settings: s.settings, name: kind, address: address, crowd: s.crowd}
	x.stage.books = books{connections: probeLinks, closed: map[string]int64{}}
	return x, nil
}

// greetedChild starts a process and waits until it says that it is there, and where.
func greetedChild(name string, args ...string) (c *child, address string, err error) {
	if c, err = startChild(name, args...); err != nil {
		return nil, "", err
	}
	var h hello
	err = c.read(&h, answerWithin)
	if err == nil && h.Error != "" {
		err = fmt.Errorf("%s: %s", name, h.Error)
	}
	if err != nil {
		c.stop()
		return nil, "", err
	}
	return c, h.Address, nil
}

// end ends all processes.
func (s *soaking) end() {
	if s.mortal != nil {
		s.mortal.stop()
	}
	for _, x := range append(s.subjects, s.plain) {
		if x != nil && x.probe != nil {
			x.probe.close()
		}
		if x != nil {
			x.child.stop()
		}
	}
	if s.crowd != nil {
		s.crowd.stop()
	}
}

// cycle plays one, and tells whether there may be another one.
func (s *soaking) cycle(ctx context.Context, number int) bool {
	limit, cancel := context.WithTimeoutCause(ctx, cycleMax, fmt.Errorf("the cycle is not over after %v", cycleMax))
	defer cancel()
	began := time.Now()
	s.play(limit, number)
	if ctx.Err() != nil {
		return false
	}
	if limit.Err() != nil {
		s.fail(number, "", context.Cause(limit))
		return false
	}
	played := time.Since(began)
	if err := s.rest(limit, number); err != nil {
		if ctx.Err() == nil {
			s.fail(number, "", err)
		}
		return false
	}
	s.progress(number, played)
	return true
}

// play is step 1.
func (s *soaking) play(ctx context.Context, number int) {
	acts, mortal := plan(s.seed, number, s.small)
	var players, probes sync.WaitGroup
	whilePlaying, over := context.WithCancel(ctx)
	for _, x := range s.subjects {
		if x.probe == nil {
			continue
		}
		probes.Go(func() {
			var err error
			if x.busy, err = x.probe.run(whilePlaying, untilDone); err != nil {
				s.fail(number, x.name, err)
			}
		})
		for _, lane := range acts[x.name] {
			players.Go(func() {
				for _, a := range lane {
					s.note(number, x.name, a, a.play(ctx, x.stage))
				}
			})
		}
	}
	players.Go(func() {
		for _, a := range mortal {
			err := a.play(ctx, s.mortal)
			s.note(number, "mortal", a, err)
			if err != nil {
				return
			}
		}
	})
	players.Wait()
	over()
	probes.Wait()
}

// note notes how an act ended.
func (s *soaking) note(cycle int, where string, a any, err error) {
	if err != nil {
		s.fail(cycle, where, fmt.Errorf("%s: %w", describe(a), err))
	}
}

func (s *soaking) fail(cycle int, where string, err error) {
	if where != "" {
		err = fmt.Errorf("%s: %w", where, err)
	}
	s.verdict.fail(s.out, "cycle %d, %w", cycle, err)
}

// rest is steps 2 to 5. The error is why there is nothing more to look at.
func (s *soaking) rest(ctx context.Context, cycle int) error {
	if err := s.crowd.ask(new(state), rest); err != nil {
		return err
	}
	defer s.crowd.ask(new(state), "go") // if it is gone, that will be noticed
	for _, x := range s.subjects {
		if err := x.deserted(ctx); err != nil {
			return err
		}
	}
	if err := s.measure(ctx); err != nil {
		return err
	}
	for _, x := range s.subjects {
		got, st, err := x.sample(ctx, s.settle(), s.plain.calm)
		if err != nil {
			return err
		}
		got.at = time.Since(s.began)
		for _, wrong := range x.disagreements(got, st) {
			s.fail(cycle, x.name, errors.New(wrong))
		}
		if x.base == nil && cycle >= warmUpCycles-1 {
			x.base = &got
		}
		x.samples = append(x.samples, got)
	}
	return nil
}

// deserted waits until nobody is there but the probes.
func (x *subject) deserted(ctx context.Context) error {
	if x.stage == nil {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	var st state
	var err error
	waited := await(limit, func() bool {
		err = x.child.ask(&st, "state")
		return err != nil || st.Engine.Sessions == probeLinks
	})
	if err == nil && waited != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: %d sessions are left of %d: %v", x.name, st.Engine.Sessions-probeLinks, st.Engine.Accepted, waited)
	}
	return err
}

// measure has the probes of all servers measure at the same time.
func (s *soaking) measure(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(s.subjects)+1)
	for i, x := range append(s.subjects, s.plain) {
		if x.probe == nil {
			continue
		}
		all.Go(func() {
			took, err := x.probe.run(ctx, s.trips())
			x.calm, errs[i] = p99(took), err
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", x.name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
