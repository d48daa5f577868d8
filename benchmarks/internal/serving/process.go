package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// stopWithin is how long a server process may take to end when told to.
const stopWithin = 5 * time.Second

// Process is a server in a process of its own. Its methods belong to one goroutine.
type Process struct {
	Address string
	Version string

	cmd     *exec.Cmd
	stdin   io.WriteCloser
	reports *json.Decoder
}

// Start starts a program that serves, and returns when it listens. It ends with Stop, or
// with ctx. The error is a *Missing if the program says so.
func Start(ctx context.Context, program string, args ...string) (*Process, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = stopWithin
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin, reports: json.NewDecoder(stdout)}
	first, err := p.read()
	if err != nil {
		p.Stop()
		return nil, err
	}
	p.Address, p.Version = first.Address, first.Version
	return p, nil
}

// Attach talks to a server that is there already.
func Attach(address string, stdin io.WriteCloser, stdout io.Reader) *Process {
	return &Process{Address: address, stdin: stdin, reports: json.NewDecoder(stdout)}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Use is what the server has used so far. Its processor time is that of this moment, where
// the system tells it of other processes: a server under load is late to answer, and how late
// depends on how it schedules.
func (p *Process) Use() (Usage, error) {
	var cpu time.Duration
	known := false
	if p.cmd != nil {
		cpu, known = processorTimeOf(p.PID())
	}
	r, err := p.ask("use")
	if known {
		r.Usage.CPU = cpu
	}
	return r.Usage, err
}

// Memory is what the server uses, after a garbage collection if forced.
func (p *Process) Memory(forced bool) (Memory, error) {
	command := "mem"
	if forced {
		command = "gc"
	}
	r, err := p.ask(command)
	if err == nil && r.Memory == nil {
		err = fmt.Errorf("no answer to %s", command)
	}
	if err != nil {
		return Memory{}, err
	}
	return *r.Memory, nil
}

// Stop ends the process and waits for it. How it ends does not matter any more.
func (p *Process) Stop() {
	p.stdin.Close()
	if p.cmd != nil {
		_ = p.cmd.Wait()
	}
}

func (p *Process) ask(command string) (Report, error) {
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		return Report{}, err
	}
	return p.read()
}

func (p *Process) read() (Report, error) {
	var r Report
	err := p.reports.Decode(&r)
	switch {
	case err != nil:
		return Report{}, fmt.Errorf("the process has ended: %w", err)
	case r.Missing != nil:
		return Report{}, r.Missing
	case r.Error != "":
		return Report{}, errors.New(r.Error)
	}
	return r, nil
}
