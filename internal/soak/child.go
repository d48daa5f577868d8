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
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds on what a child may take. A machine may have much else to do.
const (
	answerWithin = 20 * time.Second
	stopWithin   = 5 * time.Second
)

// lastWordsMax bounds how much is kept of what a child writes to standard error, bytes.
const lastWordsMax = 16 << 10

// child is a process of this program in a role. It answers each line on its standard
// input with a line of JSON, and ends with that input: it never outlives its parent. It
// is in a process group of its own, so that an interrupt from the terminal is the
// parent's business. Any goroutine may call its methods.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan []byte   // its standard output; closed at its end
	ended chan struct{} // closed when the process is gone

	asking sync.Mutex // one question at a time
	deaf   error      // why it is not asked any more

	mu        sync.Mutex
	lastWords strings.Builder
}

func startChild(name string, args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{name: name, cmd: exec.Command(exe, args...), lines: make(chan []byte, 4), ended: make(chan struct{})}
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
	var both sync.WaitGroup
	both.Go(func() { c.hear(stderr) })
	for r := bufio.NewReader(stdout); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break
		}
		select {
		case c.lines <- line:
		case <-time.After(answerWithin): // nobody asked for so much
		}
	}
	close(c.lines)
	both.Wait()
	_ = c.cmd.Wait() // how it ended is in ProcessState
	close(c.ended)
}

// hear keeps the beginning of what is said: that of a crash tells what it was.
func (c *child) hear(stderr io.Reader) {
	for r := bufio.NewReader(stderr); ; {
		line, err := r.ReadString('\n')
		c.mu.Lock()
		if c.lastWords.Len() < lastWordsMax {
			c.lastWords.WriteString(line)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

var errEnded = errors.New("the process has ended")

// read decodes the next line. After a failure the child is not listened to any more: a
// late answer would be taken for that to another question.
func (c *child) read(to any, within time.Duration) error {
	if c.deaf != nil {
		return c.deaf
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case line, more := <-c.lines:
		if !more {
			c.deaf = c.gone()
			return c.deaf
		}
		return json.Unmarshal(line, to)
	case <-timer.C:
		c.deaf = fmt.Errorf("%s: no answer within %v", c.name, within)
		return c.deaf
	}
}

// gone is errEnded with what the process said last.
func (c *child) gone() error {
	select {
	case <-c.ended:
	case <-time.After(stopWithin):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%s: %w: %v %s", c.name, errEnded, c.cmd.ProcessState, strings.TrimSpace(c.lastWords.String()))
}

// ask sends a line and decodes the answer.
func (c *child) ask(to any, format string, args ...any) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.deaf != nil {
		return c.deaf
	}
	if _, err := fmt.Fprintf(c.stdin, format+"\n", args...); err != nil {
		c.deaf = c.gone()
		return c.deaf
	}
	return c.read(to, answerWithin)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal sends it. The process has not been waited for before ended is closed, so the
// number is its own.
func (c *child) signal(s syscall.Signal) {
	select {
	case <-c.ended:
	default:
		_ = c.cmd.Process.Signal(s) // it fails if the process ends at this moment
	}
}

// awaitEnd waits for the end, and tells whether it came in time.
func (c *child) awaitEnd(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.ended:
		return true
	case <-timer.C:
		return false
	}
}

// stop ends the process, by force if need be.
func (c *child) stop() {
	_ = c.stdin.Close() // it fails if the process is gone
	if c.awaitEnd(stopWithin) {
		return
	}
	c.signal(syscall.SIGKILL)
	c.awaitEnd(stopWithin)
}
