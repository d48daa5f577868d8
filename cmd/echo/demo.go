package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

const demoAbout = `echo demo starts an echo server in this process and puts it under load from
another one. It shows round trips and how fast one message gets to 100 sessions,
checks every byte, and weighs idle sessions. It takes about ten seconds.

  echo demo [flags]
  echo demo -fanout N    one message to N sessions: deliveries/s, latency, and what
                         becomes of one that does not read; about 20 seconds

Flags:
`

// demo is one run of the demonstration.
type demo struct {
	exe    string // this program, which is the load, too
	phase  time.Duration
	files  int // how many descriptors each of the two processes may have
	engine *engine.Engine
	addr   string
	live   *live

	rows     []row
	verified uint64         // bytes
	fan      load.FanResult // one message to some
	idle     idleResult
}

// row is the result of a load.
type row struct {
	name string
	load.Result
}

func demoCommand(ctx context.Context, args []string, out *os.File) error {
	d := demo{live: newLive(out)}
	mode, subscribers := engine.Pool, 0
	fs := flag.NewFlagSet("echo demo", flag.ContinueOnError)
	fs.DurationVar(&d.phase, "t", 2500*time.Millisecond, "measure each kind of round trip for this `time`; some take half as long")
	fs.IntVar(&subscribers, "fanout", 0, "show one message to `N` sessions instead; 0 is off")
	defineMode(fs, &mode)
	if done, err := parse(fs, args, out, demoAbout, ""); done || err != nil {
		return err
	}
	if d.phase < time.Millisecond {
		return badValue("t", d.phase.String(), errors.New("must be at least 1ms"))
	}
	err := d.prepare()
	switch {
	case err != nil:
	case subscribers != 0:
		if most := d.affordable(fanoutMax); subscribers < 0 || subscribers > most {
			return badValue("fanout", strconv.Itoa(subscribers), fmt.Errorf("must be 1 to %d, with %d open files; see echo doctor", most, d.files))
		}
		err = (&fanout{demo: &d, subscribers: subscribers}).run(ctx, mode, out)
	default:
		err = d.run(ctx, mode, out)
	}
	if ctx.Err() != nil || killedBySignal(err) {
		err = errInterrupted // and what failed on its account
	}
	if err != nil {
		d.live.end()
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// killedBySignal tells whether a load process was ended by Ctrl-C or SIGTERM. A
// terminal sends Ctrl-C to it, too; while it starts it does not ignore that yet,
// and it may be dead before this process has seen its own signal.
func killedBySignal(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && (status.Signal() == syscall.SIGINT || status.Signal() == syscall.SIGTERM)
}

// run is the story:
//
//  1. start the server
//  2. round trips: small messages, one or sixteen under way per connection
//  3. bulk: large messages, every byte compared
//  4. fan-out: one message to many
//  5. idle: what does a silent session cost?
//  6. stop the server, and tell
func (d *demo) run(ctx context.Context, mode engine.Mode, out io.Writer) error {
	if err := d.start(mode); err != nil {
		return err
	}
	defer d.engine.Close()
	fmt.Fprintf(out, "echo: demo on %s (%s, loops: %d), load in another process\n", d.addr, mode, d.engine.Stats().Loops)
	for _, c := range d.loads() {
		if err := d.measure(ctx, c); err != nil {
			return err
		}
	}
	if err := d.fanOut(ctx); err != nil {
		return err
	}
	if err := d.weigh(ctx); err != nil {
		return err
	}
	if err := d.stop(ctx); err != nil {
		return err
	}
	d.live.end()
	d.report(out)
	return nil
}

// prepare looks at what there is.
func (d *demo) prepare() (err error) {
	if d.exe, err = os.Executable(); err != nil {
		return err
	}
	soft, _, err := sock.FDLimit()
	if err != nil {
		return err
	}
	d.files = int(min(soft, 1<<20))
	return nil
}

// startEngine makes the engine, with groups for the fan-out.
func (d *demo) startEngine(mode engine.Mode, more ...engine.Option) (err error) {
	d.engine, err = engine.New(append(more, engine.WithMode(mode), engine.WithGroups(fanoutGroup))...)
	return err
}

// start brings the server up.
func (d *demo) start(mode engine.Mode) error {
	if err := d.startEngine(mode); err != nil {
		return err
	}
	l, err := d.engine.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(echo))
	if err != nil {
		return errors.Join(err, d.engine.Close())
	}
	d.addr = l.Addr().String()
	return nil
}

// filesReserved is how many descriptors a process of the demo needs besides those
// of its connections: standard streams, pollers, pipes, and dials under way, which
// take two each.
const filesReserved = 100

// affordable is how many of the wanted connections the limit of descriptors allows.
func (d *demo) affordable(wanted int) int {
	return max(1, min(wanted, d.files-filesReserved))
}

func (d *demo) loads() []load.Config {
	many, few := d.affordable(50), d.affordable(4)
	return []load.Config{
		{Connections: many, MessageSize: 64, Depth: 1, WarmUp: d.phase / 10, Duration: d.phase},
		{Connections: many, MessageSize: 64, Depth: 16, WarmUp: d.phase / 10, Duration: d.phase},
		{Connections: few, MessageSize: 64 << 10, Depth: 4, WarmUp: d.phase / 10, Duration: d.phase / 2},
	}
}

// measure runs one load. Anything but a perfect echo is an error.
func (d *demo) measure(ctx context.Context, c load.Config) error {
	c.Address = d.addr
	name := fmt.Sprintf("%d × %s, depth %d", c.Connections, sizeName(c.MessageSize), c.Depth)
	d.live.begin(name)
	result, err := load.Child(ctx, d.exe, []string{loadCommand}, c, d.live.progress)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.rows = append(d.rows, row{name, result})
	d.verified += uint64(result.Verified)
	return nil
}

// sizeName is for round sizes.
func sizeName(bytes int) string {
	if bytes%1024 == 0 {
		return fmt.Sprintf("%d KiB", bytes/1024)
	}
	return fmt.Sprintf("%d B", bytes)
}

// fanOut sends messages to some sessions each.
func (d *demo) fanOut(ctx context.Context) error {
	f := fanout{demo: d, subscribers: d.affordable(fanoutFew)}
	err := f.spread(ctx, d.phase*3/5, 0)
	d.fan = f.window
	return err
}

// stop waits until the server has noticed that the clients are gone, so that the
// reasons are theirs, and ends it.
func (d *demo) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = await(ctx, func() bool { return d.engine.Stats().Sessions == 0 }) // otherwise the table shows it
	return d.engine.Shutdown(ctx)
}

// awaitMax is how long await waits for what should take milliseconds.
const awaitMax = 10 * time.Second

// await looks until it is so, or ctx ends.
func await(ctx context.Context, so func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, awaitMax, fmt.Errorf("the server has not come to rest within %v", awaitMax))
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !so() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
