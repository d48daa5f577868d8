package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// stopWithin is how long a server process may take to end when told to.
const stopWithin = 5 * time.Second

// server is a contender in a process of its own. Its methods belong to one
// goroutine.
type server struct {
	name    string
	address string

	cmd     *exec.Cmd
	stdin   io.WriteCloser
	reports *json.Decoder
}

// startServer starts the echo server of that name and returns when it listens. It
// ends with stop, or with ctx.
func startServer(ctx context.Context, exe, name string) (*server, error) {
	return startProcess(ctx, exe, name, name)
}

// startHub starts the hub of that name, for messages of that size, as startServer
// does.
func startHub(ctx context.Context, exe, name string, size int) (*server, error) {
	return startProcess(ctx, exe, name, fanoutRequest, name, strconv.Itoa(size))
}

func startProcess(ctx context.Context, exe, name string, request ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, exe, append([]string{serveCommand}, request...)...)
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
	s := &server{name: name, cmd: cmd, stdin: stdin, reports: json.NewDecoder(stdout)}
	first, err := s.read()
	if err != nil {
		s.stop()
		return nil, err
	}
	s.address = first.Address
	return s, nil
}

// startAll starts the contenders of these names, and the first of them, the base,
// twice. Those that do not exist on this system are left out.
func startAll(names []string, start func(name string) (*server, error), log io.Writer) ([]*server, error) {
	var servers []*server
	for _, name := range names {
		s, err := start(name)
		if errors.Is(err, errNoFloor) {
			fmt.Fprintf(log, "%s left out: %v\n", name, err)
			continue
		}
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return nil, errors.New("no contender is left")
	}
	base := servers[0].name
	s, err := start(base)
	if err != nil {
		return servers, err
	}
	s.name = base + again
	return append(servers, s), nil
}

func stopAll(servers []*server) {
	for _, s := range servers {
		s.stop()
	}
}

func namesOf(servers []*server) []string {
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	return names
}

// cpu is the processor time that the server has used so far.
func (s *server) cpu() (time.Duration, error) {
	r, err := s.ask("cpu")
	return r.CPU, err
}

// memory is what the server uses, after a garbage collection if forced.
func (s *server) memory(forced bool) (memory, error) {
	command := "mem"
	if forced {
		command = "gc"
	}
	r, err := s.ask(command)
	if err != nil {
		return memory{}, err
	}
	if r.Memory == nil {
		return memory{}, fmt.Errorf("server %s: no answer to %s", s.name, command)
	}
	return *r.Memory, nil
}

// stop ends the process and waits for it. How it ends does not matter any more.
func (s *server) stop() {
	s.stdin.Close()
	_ = s.cmd.Wait()
}

func (s *server) ask(command string) (report, error) {
	if _, err := io.WriteString(s.stdin, command+"\n"); err != nil {
		return report{}, fmt.Errorf("server %s: %w", s.name, err)
	}
	return s.read()
}

func (s *server) read() (report, error) {
	var r report
	err := s.reports.Decode(&r)
	switch {
	case err != nil:
		return report{}, fmt.Errorf("server %s has ended: %w", s.name, err)
	case r.Error == errNoFloor.Error():
		return report{}, errNoFloor
	case r.Error != "":
		return report{}, errors.New(r.Error)
	}
	return r, nil
}
