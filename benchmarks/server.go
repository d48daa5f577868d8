package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// server is a contender in a process of its own. Its methods belong to one
// goroutine.
type server struct {
	*serving.Process
	name    string
	address string
}

// startServer starts the echo server of that name and returns when it listens. It
// ends with Stop, or with ctx. The error is a *serving.Missing if it cannot exist here.
func startServer(ctx context.Context, exe, name string) (*server, error) {
	c, err := find(name)
	if err != nil {
		return nil, err
	}
	if c.build == nil {
		return startProcess(ctx, name, exe, serveCommand, name)
	}
	program, args, err := c.build(ctx)
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, name, program, args...)
}

// startHub starts the hub of that name, for messages of that size, as startServer
// does.
func startHub(ctx context.Context, exe, name string, size int) (*server, error) {
	return startProcess(ctx, name, exe, serveCommand, fanoutRequest, name, strconv.Itoa(size))
}

func startProcess(ctx context.Context, name, program string, args ...string) (*server, error) {
	p, err := serving.Start(ctx, program, args...)
	var missing *serving.Missing
	switch {
	case errors.As(err, &missing):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("server %s: %w", name, err)
	}
	return &server{Process: p, name: name, address: p.Address}, nil
}

// startAll starts the contenders of these names, and the first of them, the base,
// twice. Those that do not exist on this system are left out.
func startAll(names []string, start func(name string) (*server, error), log io.Writer) ([]*server, error) {
	var servers []*server
	for _, name := range names {
		s, err := start(name)
		var missing *serving.Missing
		if errors.As(err, &missing) {
			fmt.Fprintf(log, "%s left out: %v\n", name, missing)
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
		s.Stop()
	}
}

// memory is what the server uses, after a garbage collection if forced.
func (s *server) memory(forced bool) (serving.Memory, error) {
	m, err := s.Memory(forced)
	if err != nil {
		err = fmt.Errorf("server %s: %w", s.name, err)
	}
	return m, err
}
