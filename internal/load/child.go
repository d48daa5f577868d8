package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// The arguments that a child's Main understands.
const (
	runCommand   = "run"   // run CONFIG: one load, the Config as JSON
	churnCommand = "churn" // churn CONFIG: one churn, the ChurnConfig as JSON
	idleCommand  = "idle"  // idle ADDRESS: holds idle connections, as stdin says
	fanCommand   = "fan"   // fan CONFIG: a Fan, the FanConfig as JSON; a FanRun per line of stdin
	holdCommand  = "hold"  // hold CONFIG: a FanReader; a report per line of stdin
)

// line is what a child writes, one JSON object per line. One field is set, or
// a result and Error when the run was ended early.
type line struct {
	Progress *Progress    `json:"progress,omitempty"`
	Result   *Result      `json:"result,omitempty"`
	Churn    *ChurnResult `json:"churn,omitempty"`
	Idle     *idleLine    `json:"idle,omitempty"`
	Fan      *fanLine     `json:"fan,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// idleLine answers a command to a child that holds idle connections.
type idleLine struct {
	Held      int           `json:"held"`
	Disturbed int           `json:"disturbed,omitempty"`
	RoundTrip time.Duration `json:"round_trip_ns,omitempty"` // of a probe
}

// lineMax bounds a line, in bytes.
const lineMax = 1 << 20

// killAfter is how long a child that was told to stop may take.
const killAfter = 5 * time.Second

// Child is Run in a process of its own: exe is started with args and a request,
// and must hand the request to Main. For a program whose hidden subcommand is
// "load":
//
//	load.Child(ctx, os.Executable(), []string{"load"}, config, progress)
//
// The child's standard error is this process's. It ends with the context, and if
// this process dies.
func Child(ctx context.Context, exe string, args []string, c Config, progress func(Progress)) (Result, error) {
	var result Result
	err := runInChild(ctx, exe, args, runCommand, c, func(l line) {
		switch {
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		case l.Result != nil:
			result = *l.Result
		}
	})
	return result, err
}

// ChurnChild is Churn in a process of its own, as Child is Run.
func ChurnChild(ctx context.Context, exe string, args []string, c ChurnConfig, progress func(Progress)) (ChurnResult, error) {
	var result ChurnResult
	err := runInChild(ctx, exe, args, churnCommand, c, func(l line) {
		switch {
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		case l.Churn != nil:
			result = *l.Churn
		}
	})
	return result, err
}

// runInChild has a child run what config describes, and calls take with each line that
// it writes.
func runInChild(ctx context.Context, exe string, args []string, command string, config any, take func(line)) error {
	request, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	p, err := startChild(ctx, exe, args, command, string(request))
	if err != nil {
		return err
	}
	var failure error
	for {
		l, err := p.read()
		if err == io.EOF {
			break
		}
		if err != nil {
			failure = err
			break
		}
		take(l)
		if l.Error != "" {
			failure = errors.New(l.Error)
		}
	}
	ended := p.wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failure != nil:
		return failure
	default:
		return ended
	}
}

// child is a process that runs Main.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startChild(ctx context.Context, exe string, args []string, request ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, exe, append(append([]string(nil), args...), request...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	cmd.Cancel = stdin.Close // the child sees the end of its input, reports and ends
	cmd.WaitDelay = killAfter
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, lineMax)
	return &child{cmd, stdin, lines}, nil
}

// read returns the next line; io.EOF after the last.
func (p *child) read() (line, error) {
	if !p.lines.Scan() {
		if err := p.lines.Err(); err != nil {
			return line{}, fmt.Errorf("load: output of the child: %w", err)
		}
		return line{}, io.EOF
	}
	var l line
	if err := json.Unmarshal(p.lines.Bytes(), &l); err != nil {
		return line{}, fmt.Errorf("load: output of the child: %w", err)
	}
	return l, nil
}

// wait closes the child's input and returns when it has ended.
func (p *child) wait() error {
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("load: child: %w", err)
	}
	return nil
}
