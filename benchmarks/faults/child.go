//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Bounds on what a child may take.
const (
	startWithin  = 10 * time.Second
	answerWithin = 5 * time.Second
	stopWithin   = 3 * time.Second
)

// child is a process of this program in a role, in a process group of its own with
// the tool that started it. It writes JSON lines, and ends when its standard input
// does, or is killed. Its methods belong to one goroutine and wait for a bounded
// time only.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan []byte   // its standard output; closed at its end
	log   *journal      // its standard error
	ended chan struct{} // closed when the process is gone

	deaf     error  // why it is not asked any more
	evidence string // directory for what it was doing if it does not answer; empty: none
}

// startChild starts this program with args, under a tool if there is one.
func startChild(tool []string, args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := append(append(append([]string(nil), tool...), exe), args...)
	c := &child{
		cmd: exec.Command(line[0], line[1:]...), log: new(journal),
		lines: make(chan []byte, 16), ended: make(chan struct{}),
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.watch(stdout, stderr)
	return c, nil
}

// watch collects what the process writes, and then the process.
func (c *child) watch(stdout, stderr io.Reader) {
	logged := make(chan struct{})
	go func() {
		c.log.read(stderr)
		close(logged)
	}()
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		select {
		case c.lines <- append([]byte(nil), scanner.Bytes()...):
		case <-time.After(answerWithin): // nobody asked for so much
		}
	}
	close(c.lines)
	<-logged
	_ = c.cmd.Wait() // how it ended is in ProcessState
	close(c.ended)
}

var (
	errSilent = errors.New("no answer")
	errEnded  = errors.New("the process has ended")
)

// read decodes the next line. After a failure the child is not listened to any
// more: a late answer would be taken for that to another question.
func (c *child) read(to any, within time.Duration) error {
	if c.deaf != nil {
		return c.deaf
	}
	select {
	case line, more := <-c.lines:
		if !more {
			c.deaf = errEnded
			return c.deaf
		}
		return json.Unmarshal(line, to)
	case <-time.After(within):
		c.deaf = fmt.Errorf("%w within %v%s", errSilent, within, c.keepEvidence())
		return c.deaf
	}
}

// ask sends a command and decodes the answer.
func (c *child) ask(command string, to any) error { return c.askWithin(answerWithin, command, to) }

// askWithin is ask for what may take long.
func (c *child) askWithin(patience time.Duration, command string, to any) error {
	if c.deaf != nil {
		return c.deaf
	}
	if _, err := io.WriteString(c.stdin, command+"\n"); err != nil {
		return errEnded
	}
	return c.read(to, patience)
}

// keepEvidence ends a process that does not answer so that it shows its stacks, keeps them
// with all sockets of the network, and tells where.
func (c *child) keepEvidence() string {
	if c.evidence == "" {
		return ""
	}
	sockets, err := exec.Command("ss", "-tanie").CombinedOutput()
	if err != nil {
		sockets = append(sockets, err.Error()...)
	}
	_ = c.cmd.Process.Signal(syscall.SIGQUIT) // it fails if the process has ended
	c.awaitEnd(stopWithin)
	file := filepath.Join(c.evidence, fmt.Sprint("silent", c.cmd.Process.Pid))
	if err := os.WriteFile(file, append([]byte(c.log.text()+"\n"), sockets...), 0o644); err != nil {
		return "; -evidence: " + err.Error()
	}
	return "; see " + file
}

// alive tells whether the process is still there.
func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// awaitEnd waits for the end, and tells whether it came in time.
func (c *child) awaitEnd(within time.Duration) bool {
	select {
	case <-c.ended:
		return true
	case <-time.After(within):
		return false
	}
}

// stop ends the process, by force if need be.
func (c *child) stop() {
	c.stdin.Close()
	if c.awaitEnd(stopWithin) {
		return
	}
	c.kill()
	c.awaitEnd(stopWithin)
}

// kill ends the group at once. Its leader has not been waited for, so the number
// is still ours.
func (c *child) kill() {
	if c.alive() {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
}
