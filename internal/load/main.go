package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
)

// Main is the body of a load process: what Child, ChurnChild, StartIdle, StartFan and
// StartFanReader start. Args are the arguments after those that led here; in and out are
// its standard input and output. It returns the exit code.
//
// The process ends when in ends, so that it never outlives its parent; an
// interrupt from the terminal, which reaches both, is left to the parent.
func Main(args []string, in io.Reader, out io.Writer) int {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	w := &lineWriter{out: out}
	if err := dispatch(args, in, w); err != nil {
		w.write(line{Error: err.Error()})
		return 1
	}
	return 0
}

func dispatch(args []string, in io.Reader, w *lineWriter) error {
	if len(args) != 2 {
		return fmt.Errorf("load: want a command and its argument, not %d arguments", len(args))
	}
	switch command, argument := args[0], args[1]; command {
	case runCommand:
		return runChild(argument, in, w, Run, func(r *Result) line { return line{Result: r} })
	case churnCommand:
		return runChild(argument, in, w, Churn, func(r *ChurnResult) line { return line{Churn: r} })
	case idleCommand:
		return idleChild(argument, in, w)
	case fanCommand:
		return fanChild(argument, in, w)
	case holdCommand:
		return holdChild(argument, in, w)
	default:
		return fmt.Errorf("load: unknown command %q", command)
	}
}

// runChild runs the load that request describes until it is over or in ends.
func runChild[C, R any](request string, in io.Reader, w *lineWriter,
	run func(context.Context, C, func(Progress)) (R, error), answer func(*R) line) error {
	var c C
	if err := json.Unmarshal([]byte(request), &c); err != nil {
		return fmt.Errorf("load: config: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with in, at the latest with the process
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	result, err := run(ctx, c, func(p Progress) {
		if w.write(line{Progress: &p}) != nil {
			cancel()
		}
	})
	if writeErr := w.write(answer(&result)); err == nil {
		err = writeErr
	}
	return err
}

// idleChild holds idle connections and does what in says, a command per line:
// "grow N" to have N of them, "probe" to try a new connection, "disturbed" to count
// those that are not silent.
func idleChild(address string, in io.Reader, w *lineWriter) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	idle, err := NewIdle(address)
	if err != nil {
		return err
	}
	defer idle.Close()

	for command := range commands(in, cancel) {
		answer, err := obey(ctx, idle, command)
		if err != nil {
			return err
		}
		if err := w.write(line{Idle: &answer}); err != nil {
			return err
		}
	}
	return nil
}

// commands returns the lines of in, read ahead so that the end of in cancels what
// is going on.
func commands(in io.Reader, cancel context.CancelFunc) <-chan string {
	c := make(chan string)
	go func() { // ends with in, at the latest with the process
		defer close(c)
		defer cancel()
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			c <- lines.Text()
		}
	}()
	return c
}

func obey(ctx context.Context, idle *Idle, command string) (idleLine, error) {
	name, argument, _ := strings.Cut(command, " ")
	switch name {
	case "grow":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return idleLine{}, fmt.Errorf("load: grow: %w", err)
		}
		err = idle.Grow(ctx, n)
		return idleLine{Held: idle.Len()}, err
	case "probe":
		took, err := idle.Probe(ctx)
		return idleLine{Held: idle.Len(), RoundTrip: took}, err
	case "disturbed":
		return idleLine{Held: idle.Len(), Disturbed: idle.Disturbed()}, nil
	default:
		return idleLine{}, fmt.Errorf("load: unknown command %q", command)
	}
}

// lineWriter writes lines as JSON.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) write(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.out.Write(append(b, '\n'))
	return err
}
