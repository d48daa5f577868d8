//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// bench is a run of the harness.
type bench struct {
	options
	dir   string            // for tools' files
	tools map[string]string // why each cannot be used; empty if it can

	reference map[string]latency // of std's healthy clients under a fault, by its name

	mu       sync.Mutex
	children []*child // of the scene that is played
}

// harness plays all rows on all servers. It returns whether weir did what it has
// to.
func harness(ctx context.Context, o options, out, log io.Writer) (met bool, err error) {
	dir, remove, err := openDir()
	if err != nil {
		return false, err
	}
	defer remove()
	b := &bench{options: o, dir: dir, tools: map[string]string{}, reference: map[string]latency{}}
	began := time.Now()
	var results []result
	met = true
	for _, f := range faults() {
		if !b.wanted(f) {
			continue
		}
		for _, name := range o.servers {
			k, err := findKind(name)
			if err != nil {
				return false, err
			}
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			r := b.stageTwice(ctx, f, k)
			if name == "std" {
				b.reference[f.name] = r.During
			}
			met = met && !r.bad(k)
			results = append(results, r)
			printResult(out, r)
		}
	}
	printSummary(out, o.servers, results, time.Since(began))
	return met, b.save(results)
}

// stageTwice plays a fault again if nothing was wrong but how long things took: a
// machine that was busy for a moment looks like that, too. A server that is slow is
// slow both times.
func (b *bench) stageTwice(ctx context.Context, f fault, k kind) result {
	first := b.stage(ctx, f, k)
	if !first.slow || ctx.Err() != nil {
		return first
	}
	second := b.stage(ctx, f, k)
	second.see("played twice; the first time %s", first.Why)
	return second
}

func (b *bench) wanted(f fault) bool {
	if len(b.rows) > 0 {
		return slices.Contains(b.rows, f.row)
	}
	return f.quick || !b.quick
}

func (b *bench) save(results []result) error {
	if b.json != "" {
		if err := writeJSON(b.json, readSetting(), results); err != nil {
			return fmt.Errorf("-json: %w", err)
		}
	}
	if b.markdown != "" {
		if err := writeMarkdown(b.markdown, readSetting(), b.servers, results); err != nil {
			return fmt.Errorf("-markdown: %w", err)
		}
	}
	return nil
}

// stdUnder returns what std's healthy clients feel under the same fault, in the same
// run.
func (s *scene) stdUnder() latency {
	if l, known := s.reference[s.fault.name]; known {
		return l
	}
	k, err := findKind("std")
	if err != nil {
		return latency{}
	}
	other := &bench{options: s.options, dir: s.dir, tools: s.tools, reference: map[string]latency{s.fault.name: {}}}
	r := other.stage(context.Background(), s.fault, k)
	s.reference[s.fault.name] = r.During
	return r.During
}
