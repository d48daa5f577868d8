package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// The fan-out: how many messages a second a hub delivers when each goes to all
// connections. For each scene, a number of subscribers and a size of messages:
//
//  1. start every contender, and the base twice; take its memory
//  2. open the connections of each, from a load process of its own
//  3. for each cell, rounds: one load on each contender, one after another
//  4. take the memory again

// fanoutRequest is how a server process is asked for a hub.
const fanoutRequest = "fanout"

// fanoutPatience is how long a round may take to deliver what is under way at its
// end: at 64 KB to 9000 subscribers, 600 MB.
const fanoutPatience = time.Minute

// fanoutSample is one load on one contender.
type fanoutSample struct {
	Cell      fanoutCell     `json:"cell"`
	Round     int            `json:"round"`
	Contender string         `json:"contender"`
	Result    load.FanResult `json:"result"`
	used
}

// fanoutBench holds what the scenes of one run need.
type fanoutBench struct {
	options fanoutOptions
	exe     string
	log     io.Writer
	left    *estimate
	results *recorder

	// start starts the hub of that name.
	start func(ctx context.Context, name string, size int) (*server, error)

	// failed is told of a contender that has failed, and the others go on; if it is nil
	// the run ends.
	failed func(failure) error

	// after is called when the rounds of a cell are over.
	after func(ctx context.Context, c fanoutCell, targets []*target) error
}

// fanoutCommand measures the cells that args select and prints tables. What was
// measured before an error is printed too.
func fanoutCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := fanoutDefaults().parse(args, log)
	if err != nil {
		return err
	}
	exe, results, err := begin(o.resultsPath, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and load in two processes, over loopback, publishers: %d\n",
		o.rounds, o.round, o.warmUp, o.publishers)
	printHubs(out, o.contenders)
	fmt.Fprintln(out)

	b := newFanoutBench(o, exe, log, results)
	b.left = newEstimate(len(o.cells) * o.rounds)
	err = b.run(ctx)
	if o.stuck {
		b.reportStuck(out)
	} else {
		results.tellSummaries(out)
		printFanoutMemory(out, results.seen.memories)
	}
	return errors.Join(err, results.close())
}

func newFanoutBench(o fanoutOptions, exe string, log io.Writer, results *recorder) *fanoutBench {
	return &fanoutBench{
		options: o, exe: exe, log: log, results: results,
		start: func(ctx context.Context, name string, size int) (*server, error) {
			return startHub(ctx, exe, name, size)
		},
	}
}

// run measures all cells, those of a scene one after the other.
func (b *fanoutBench) run(ctx context.Context) error {
	for _, cells := range scenes(b.options.cells) {
		if err := b.scene(ctx, cells); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

// scenes groups cells by scene, in order.
func scenes(cells []fanoutCell) [][]fanoutCell {
	var groups [][]fanoutCell
	at := map[fanoutScene]int{}
	for _, c := range cells {
		i, ok := at[c.scene()]
		if !ok {
			i = len(groups)
			at[c.scene()] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// scene measures cells that share connections.
func (b *fanoutBench) scene(ctx context.Context, cells []fanoutCell) (err error) {
	scene := cells[0].scene()
	servers, err := startAll(b.options.contenders, func(name string) (*server, error) {
		return b.start(ctx, name, scene.Size)
	}, b.log)
	defer stopAll(servers)
	if err != nil {
		return err
	}
	var targets []*target
	defer func() {
		for _, t := range targets {
			if closeErr := t.fan.Close(); err == nil && !t.down {
				err = closeErr
			}
		}
	}()
	for _, s := range servers {
		t := &target{server: s}
		if t.before, err = s.memory(true); err != nil {
			return err
		}
		if t.fan, err = load.StartFan(ctx, b.exe, []string{loadCommand}, b.config(s.address, scene)); err != nil {
			err = fmt.Errorf("%d subscribers, %s: %w", scene.Subscribers, s.name, err)
			if err := b.fail(ctx, cells[0], &target{server: s}, 0, err); err != nil {
				return err
			}
			continue
		}
		t.usedAt = time.Now()
		targets = append(targets, t)
	}
	for _, c := range cells {
		for round := range b.options.rounds {
			if err := b.round(ctx, c, round, targets); err != nil {
				return err
			}
		}
		if b.after != nil {
			if err := b.after(ctx, c, alive(targets)); err != nil {
				return err
			}
		}
	}
	if b.options.stuck {
		return nil
	}
	return b.takeMemory(scene, alive(targets))
}

// alive are the targets that have not failed.
func alive(targets []*target) []*target {
	var ts []*target
	for _, t := range targets {
		if !t.down {
			ts = append(ts, t)
		}
	}
	return ts
}

func (b *fanoutBench) config(address string, s fanoutScene) load.FanConfig {
	return load.FanConfig{Address: address, Publishers: b.options.publishers, Subscribers: s.Subscribers, MessageSize: s.Size}
}

// round puts each contender under the cell's load, one after another. Each round
// begins with another one, so that none always follows the same.
func (b *fanoutBench) round(ctx context.Context, c fanoutCell, round int, targets []*target) error {
	line := fmt.Sprintf("%s %v round %d/%d:", testOfFanout(c), c, round+1, b.options.rounds)
	began := time.Now()
	for i := range targets {
		t := targets[(round+i)%len(targets)]
		if t.down {
			continue
		}
		text, err := b.load(ctx, t, c, round, targets)
		if err != nil {
			if err := b.fail(ctx, c, t, round, err); err != nil {
				return err
			}
			text = "failed"
		}
		line += fmt.Sprintf(" %s %s,", t.name, text)
	}
	fmt.Fprintf(b.log, "%s %s\n", line, b.left.step(time.Since(began)))
	return nil
}

// fail ends the run, or leaves the contender out of the rest of the scene.
func (b *fanoutBench) fail(ctx context.Context, c fanoutCell, t *target, round int, err error) error {
	if b.failed == nil || ctx.Err() != nil {
		return fmt.Errorf("%v, round %d, %s: %w", c, round+1, t.name, err)
	}
	t.down = true
	fmt.Fprintf(b.log, "%s has failed in %s %v: %v\n", t.name, testOfFanout(c), c, err)
	return b.failed(failure{testOfFanout(c), c.String(), t.name, round, err.Error()})
}

// load measures one contender and says in short what came out. Connections of the others
// that have been silent for long are used in between.
func (b *fanoutBench) load(ctx context.Context, t *target, c fanoutCell, round int, targets []*target) (string, error) {
	for _, other := range alive(targets) {
		if err := other.fresh(); err != nil {
			if other != t {
				err = b.fail(ctx, c, other, round, err)
			}
			if err != nil {
				return "", err
			}
		}
	}
	if b.options.stuck {
		return b.pair(ctx, t, c, round)
	}
	result, used, err := t.measure(b.fanRun(c))
	if err != nil {
		return "", err
	}
	text := countText(result.DeliveriesPerSecond) + "/s"
	if c.Rate > 0 {
		text = "p99 " + shortDuration(result.Each.P99).String()
	}
	return text, b.results.write("sample", fanoutSample{c, round, t.name, result, used})
}

// fanRun is the load of a cell.
func (b *fanoutBench) fanRun(c fanoutCell) load.FanRun {
	return load.FanRun{
		InFlight: c.InFlight,
		Rate:     float64(c.Rate),
		WarmUp:   b.options.warmUp,
		Duration: b.options.round,
		Patience: fanoutPatience,
	}
}
