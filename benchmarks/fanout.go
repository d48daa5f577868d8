package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	ServerCPU time.Duration  `json:"server_cpu_ns"` // in the measured time
}

// cpuPerDelivery is the server's processor time per delivery, in nanoseconds.
func (s fanoutSample) cpuPerDelivery() float64 {
	if s.Result.Deliveries == 0 {
		return 0
	}
	return float64(s.ServerCPU) / float64(s.Result.Deliveries)
}

// fanoutMemory is a server's memory: with no connection, collected; after all loads
// of a scene, with its connections still open; and the same, collected.
type fanoutMemory struct {
	Scene     fanoutScene `json:"scene"`
	Contender string      `json:"contender"`
	Before    memory      `json:"before"`
	Unforced  memory      `json:"unforced"`
	Forced    memory      `json:"forced"`
}

// fanoutBench holds what the scenes of one run need.
type fanoutBench struct {
	options fanoutOptions
	exe     string
	log     io.Writer
	left    *estimate
	results *recorder

	names    []string // of the contenders, the base first
	samples  []fanoutSample
	memories []fanoutMemory
	stuck    []stuckSample
}

// target is a contender with its load.
type target struct {
	*server
	fan    *load.FanChild
	usedAt time.Time
}

// idleMax is how long connections may be silent while others are measured. After 15 s
// most systems would probe all of them at once, and what does not fit into the queue of
// the loopback is lost.
const idleMax = 10 * time.Second

// keepFresh sends one message through each target that has been silent for long.
func keepFresh(targets []*target) error {
	for _, t := range targets {
		if time.Since(t.usedAt) < idleMax {
			continue
		}
		if err := t.touch(); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// touch sends one message.
func (t *target) touch() error {
	_, err := t.run(load.FanRun{InFlight: 1, Messages: 1, Duration: fanoutPatience, Patience: fanoutPatience}, nil)
	return err
}

func (t *target) run(r load.FanRun, progress func(load.Progress)) (load.FanResult, error) {
	result, err := t.fan.Run(r, progress)
	t.usedAt = time.Now()
	return result, err
}

// fanoutCommand measures the cells that args select and prints tables. What was
// measured before an error is printed too.
func fanoutCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := fanoutDefaults().parse(args, log)
	if err != nil {
		return err
	}
	results, err := createResults(o.resultsPath)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return errors.Join(err, results.close())
	}
	here := readSetting(commandLine())
	results.write("setting", here)
	printSetting(out, here)
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and load in two processes, over loopback, publishers: %d\n",
		o.rounds, o.round, o.warmUp, o.publishers)
	printHubs(out, o.contenders)
	fmt.Fprintln(out)

	b := &fanoutBench{options: o, exe: exe, log: log, left: newEstimate(len(o.cells) * o.rounds), results: results}
	for _, cells := range scenes(o.cells) {
		if err = interrupted(ctx, b.scene(ctx, cells)); err != nil {
			break
		}
	}
	if o.stuck {
		b.reportStuck(out)
	} else {
		b.report(out)
	}
	return errors.Join(err, results.close())
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
		return startHub(ctx, b.exe, name, scene.Size)
	}, b.log)
	defer stopAll(servers)
	if err != nil {
		return err
	}
	b.names = namesOf(servers)

	before := make([]memory, len(servers))
	var targets []*target
	defer func() {
		for _, t := range targets {
			if closeErr := t.fan.Close(); err == nil {
				err = closeErr
			}
		}
	}()
	for i, s := range servers {
		if before[i], err = s.memory(true); err != nil {
			return err
		}
		fan, err := load.StartFan(ctx, b.exe, []string{loadCommand}, b.config(s.address, scene))
		if err != nil {
			return fmt.Errorf("%d subscribers, %s: %w", scene.Subscribers, s.name, err)
		}
		targets = append(targets, &target{s, fan, time.Now()})
	}
	for _, c := range cells {
		for round := range b.options.rounds {
			if err := b.round(ctx, c, round, targets); err != nil {
				return err
			}
		}
	}
	if b.options.stuck {
		return nil
	}
	return b.takeMemory(scene, targets, before)
}

func (b *fanoutBench) config(address string, s fanoutScene) load.FanConfig {
	return load.FanConfig{Address: address, Publishers: b.options.publishers, Subscribers: s.Subscribers, MessageSize: s.Size}
}

// round puts each contender under the cell's load, one after another. Each round
// begins with another one, so that none always follows the same.
func (b *fanoutBench) round(ctx context.Context, c fanoutCell, round int, targets []*target) error {
	line := fmt.Sprintf("%v round %d/%d:", c, round+1, b.options.rounds)
	for i := range targets {
		t := targets[(round+i)%len(targets)]
		if err := keepFresh(targets); err != nil {
			return fmt.Errorf("%v, round %d: %w", c, round+1, err)
		}
		measure := b.load
		if b.options.stuck {
			measure = func(t *target, c fanoutCell, round int) (string, error) { return b.pair(ctx, t, c, round) }
		}
		text, err := measure(t, c, round)
		if err != nil {
			return fmt.Errorf("%v, round %d, %s: %w", c, round+1, t.name, err)
		}
		line += fmt.Sprintf(" %s %s,", t.name, text)
	}
	fmt.Fprintf(b.log, "%s %s\n", line, b.left.step())
	return nil
}

// load runs one load, records it, and says in short what came out.
func (b *fanoutBench) load(t *target, c fanoutCell, round int) (string, error) {
	result, cpu, err := b.measure(t, c)
	if err != nil {
		return "", err
	}
	s := fanoutSample{Cell: c, Round: round, Contender: t.name, Result: result, ServerCPU: cpu}
	b.samples = append(b.samples, s)
	text := fmt.Sprintf("%.0f/s", result.DeliveriesPerSecond)
	if c.Rate > 0 {
		text = shortDuration(result.Each.P99).String()
	}
	return text, b.results.write("sample", s)
}

// measure runs one load. The server's processor time is read when the measured time
// begins and when it ends.
func (b *fanoutBench) measure(t *target, c fanoutCell) (load.FanResult, time.Duration, error) {
	run := load.FanRun{
		InFlight: c.InFlight,
		Rate:     float64(c.Rate),
		WarmUp:   b.options.warmUp,
		Duration: b.options.round,
		Patience: fanoutPatience,
	}
	var cpu [2]time.Duration
	var cpuErr error
	at := func(i int) {
		if used, err := t.cpu(); err != nil {
			cpuErr = err
		} else {
			cpu[i] = used
		}
	}
	result, err := t.run(run, func(p load.Progress) {
		switch p.Phase {
		case load.Measuring:
			at(0)
		case load.Finishing:
			at(1)
		}
	})
	return result, cpu[1] - cpu[0], errors.Join(err, cpuErr)
}

// takeMemory reads what a scene has left behind.
func (b *fanoutBench) takeMemory(scene fanoutScene, targets []*target, before []memory) error {
	for i, t := range targets {
		m := fanoutMemory{Scene: scene, Contender: t.name, Before: before[i]}
		var err error
		if m.Unforced, err = t.memory(false); err != nil {
			return err
		}
		if m.Forced, err = t.memory(true); err != nil {
			return err
		}
		b.memories = append(b.memories, m)
		if err := b.results.write("memory", m); err != nil {
			return err
		}
	}
	return nil
}
