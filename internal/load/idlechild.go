package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// IdleChild is an Idle in a process of its own. Its methods belong to one
// goroutine.
type IdleChild struct {
	child *child
}

// StartIdle starts exe with args and a request, which it must hand to Main, as
// Child does. The child ends with the context.
func StartIdle(ctx context.Context, exe string, args []string, address string) (*IdleChild, error) {
	c, err := startChild(ctx, exe, args, idleCommand, address)
	if err != nil {
		return nil, err
	}
	return &IdleChild{c}, nil
}

// Grow is Idle.Grow.
func (l *IdleChild) Grow(total int) error {
	_, err := l.ask(fmt.Sprintf("grow %d", total))
	return err
}

// Probe is Idle.Probe.
func (l *IdleChild) Probe() (time.Duration, error) {
	answer, err := l.ask("probe")
	return answer.RoundTrip, err
}

// Disturbed is Idle.Disturbed.
func (l *IdleChild) Disturbed() (int, error) {
	answer, err := l.ask("disturbed")
	return answer.Disturbed, err
}

// Close ends the child and with it all of its connections.
func (l *IdleChild) Close() error { return l.child.wait() }

func (l *IdleChild) ask(command string) (idleLine, error) {
	if _, err := io.WriteString(l.child.stdin, command+"\n"); err != nil {
		return idleLine{}, fmt.Errorf("load: child: %w", err)
	}
	answer, err := l.child.read()
	switch {
	case err == io.EOF:
		return idleLine{}, errors.New("load: child ended without an answer")
	case err != nil:
		return idleLine{}, err
	case answer.Error != "":
		return idleLine{}, errors.New(answer.Error)
	case answer.Idle == nil:
		return idleLine{}, errors.New("load: child gave another answer than was asked for")
	}
	return *answer.Idle, nil
}
