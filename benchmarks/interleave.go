package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// interleaver puts servers under the same loads, one server after another, in rounds, so
// that a slow minute of the machine hits all of them. Each round begins with another one,
// so that none always follows the same.
type interleaver struct {
	exe     string
	log     io.Writer
	servers []*server // the first is the base
	rounds  int
	left    *estimate
	record  func(kind string, value any) error

	// failed, if not nil, is told of a load that has failed, and the others go on; without
	// it the run ends.
	failed func(failure) error
	down   map[string]bool // servers that failed in this cell
}

// job is a cell of a test: what is done to one server after the other.
type job interface {
	test() string
	String() string

	// load runs it once. It returns what is to be recorded, and in short what came out.
	load(ctx context.Context, b *interleaver, s *server, round int) (sample any, text string, err error)
}

// failure is a load that has failed on a contender.
type failure struct {
	Test      string `json:"test"`
	Cell      string `json:"cell"`
	Contender string `json:"contender"`
	Round     int    `json:"round"`
	Error     string `json:"error"`
}

// run does all rounds of a job.
func (b *interleaver) run(ctx context.Context, j job) error {
	b.down = map[string]bool{}
	for round := range b.rounds {
		if err := b.round(ctx, j, round); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

func (b *interleaver) round(ctx context.Context, j job, round int) error {
	line := fmt.Sprintf("%s %v round %d/%d:", j.test(), j, round+1, b.rounds)
	began := time.Now()
	for i := range b.servers {
		s := b.servers[(round+i)%len(b.servers)]
		if b.down[s.name] {
			continue
		}
		sample, text, err := j.load(ctx, b, s, round)
		if err != nil {
			if err := b.fail(ctx, j, s, round, err); err != nil {
				return err
			}
			text = "failed"
		} else if err := b.record("sample", sample); err != nil {
			return err
		}
		line += fmt.Sprintf(" %s %s,", s.name, text)
	}
	fmt.Fprintf(b.log, "%s %s\n", line, b.left.step(time.Since(began)))
	return nil
}

// fail ends the run, or leaves the contender out of the rest of the cell.
func (b *interleaver) fail(ctx context.Context, j job, s *server, round int, err error) error {
	if b.failed == nil || ctx.Err() != nil {
		return fmt.Errorf("%v, round %d, %s: %w", j, round+1, s.name, err)
	}
	b.down[s.name] = true
	fmt.Fprintf(b.log, "%s has failed in %s %v: %v\n", s.name, j.test(), j, err)
	return b.failed(failure{j.test(), j.String(), s.name, round, err.Error()})
}

// alive are the servers that have not failed in this cell.
func (b *interleaver) alive() []*server {
	return slices.DeleteFunc(slices.Clone(b.servers), func(s *server) bool { return b.down[s.name] })
}

// interrupted is the context's error if it has ended, which made err.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
