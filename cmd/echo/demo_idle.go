package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// What a silent session costs is found from two numbers of them, so that all that
// does not depend on the number falls out.
const (
	idleFew  = 1000
	idleMany = 6000
)

// idleTelling is by how many sessions the two numbers must differ: below, the
// pages that the runtime takes at a time hide what a session takes.
const idleTelling = 1000

// idleResult is what silent sessions cost.
type idleResult struct {
	few, many int
	heap      int64         // bytes of heap in use per session
	resident  int64         // bytes of resident memory per session; 0 where not known
	probe     time.Duration // to connect and echo once while all of them are open
}

// weigh opens silent connections, each after one echo, and looks at the server's
// memory when there are few and when there are many.
func (d *demo) weigh(ctx context.Context) error {
	many := max(2, d.affordable(idleMany))
	few := max(1, many*idleFew/idleMany)
	clients, err := load.StartIdle(ctx, d.exe, []string{loadCommand}, d.addr)
	if err != nil {
		return err
	}
	err = errors.Join(d.weighWith(clients, few, many), clients.Close())
	if err != nil {
		return fmt.Errorf("idle sessions: %w", err)
	}
	return nil
}

func (d *demo) weighWith(clients *load.IdleChild, few, many int) error {
	before, err := d.grow(clients, few)
	if err != nil {
		return err
	}
	after, err := d.grow(clients, many)
	if err != nil {
		return err
	}
	probe, err := clients.Probe()
	if err != nil {
		return err
	}
	disturbed, err := clients.Disturbed()
	if err != nil {
		return err
	}
	if disturbed > 0 {
		return fmt.Errorf("%d of %d were disturbed", disturbed, many)
	}
	slope := func(before, after uint64) int64 { return (int64(after) - int64(before)) / int64(many-few) }
	d.idle = idleResult{
		few: few, many: many, probe: probe,
		heap:     slope(before.HeapInUse, after.HeapInUse),
		resident: slope(before.RSS, after.RSS),
	}
	return nil
}

// grow has that many silent connections, and looks at the process without garbage.
func (d *demo) grow(clients *load.IdleChild, total int) (process, error) {
	d.live.begin(fmt.Sprintf("idle sessions: %s", formatCount(uint64(total))))
	if err := clients.Grow(total); err != nil {
		return process{}, err
	}
	if open := d.engine.Stats().Sessions; open < total {
		return process{}, errors.New("the server has lost some")
	}
	freeMemory()
	return readProcess(), nil
}
