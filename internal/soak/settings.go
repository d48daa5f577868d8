//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// settings are what a soak is told.
type settings struct {
	duration time.Duration
	seed     uint64
	small    bool // for tests: acts are a tenth of their size, and patience is short

	leak string // for tests: what the lasting servers leak; see leak.go
}

func parseSettings(args []string, out io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&s.duration, "duration", 10*time.Minute, "for how long cycles begin; there is one in any case")
	flags.Uint64Var(&s.seed, "seed", 0, "what is drawn; 0: another one each time, which is printed")
	flags.BoolVar(&s.small, "small", false, "play everything at a tenth of its size")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("argument %q: there is none", flags.Arg(0))
	}
	if s.duration <= 0 {
		return s, fmt.Errorf("-duration %v: must be above 0", s.duration)
	}
	for s.seed == 0 {
		s.seed = rand.Uint64N(1_000_000)
	}
	return s, nil
}

// stall is the servers' patience with peers that do not read.
func (s settings) stall() time.Duration {
	if s.small {
		return 2 * time.Second
	}
	return 4 * time.Second
}

// frameTimeout is the same with frames that do not end. It is not shorter where all is small:
// on a busy machine a client may not get to go on with a frame, or to end, for some tenths of
// a second, and is then taken for one that was to be closed for it.
func (s settings) frameTimeout() time.Duration { return time.Second }

// settle is how long a process may take to be back where it was: idle workers end one or
// two seconds after their last work.
func (s settings) settle() time.Duration {
	if s.small {
		return 4 * time.Second
	}
	return 10 * time.Second
}

// members is how many clients the clients' process has.
func (s settings) members() int {
	if s.small {
		return 8
	}
	return 32
}

// trips is how many round trips each probe makes for one sample's p99.
func (s settings) trips() int {
	if s.small {
		return 100
	}
	return 1000
}
