package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// fanLine answers a child's start, and each command to it.
type fanLine struct {
	Result *FanResult `json:"result,omitempty"`
	Read   *FanRead   `json:"read,omitempty"`
}

// FanChild is a Fan in a process of its own. Its methods belong to one goroutine.
type FanChild struct {
	ctx   context.Context
	child *child
}

// StartFan starts exe with args and a request, which it must hand to Main, as
// Child does, and returns when the connections are open. The child ends with the
// context.
func StartFan(ctx context.Context, exe string, args []string, c FanConfig) (*FanChild, error) {
	p, err := startFanChild(ctx, exe, args, fanCommand, c)
	if err != nil {
		return nil, err
	}
	return &FanChild{ctx, p}, nil
}

// startFanChild starts a child and waits until it says that it is ready.
func startFanChild(ctx context.Context, exe string, args []string, command string, c FanConfig) (*child, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	p, err := startChild(ctx, exe, args, command, string(config))
	if err != nil {
		return nil, err
	}
	if _, err := p.fanAnswer(ctx, nil); err != nil {
		ended := p.wait()
		if errors.Is(err, errNoAnswer) && ended != nil {
			return nil, ended // by a signal, perhaps
		}
		return nil, err // what it had to say
	}
	return p, nil
}

var errNoAnswer = errors.New("load: child ended without an answer")

// fanAnswer reads on to the answer.
func (p *child) fanAnswer(ctx context.Context, progress func(Progress)) (fanLine, error) {
	for {
		l, err := p.read()
		switch {
		case ctx.Err() != nil:
			return fanLine{}, ctx.Err()
		case err == io.EOF:
			return fanLine{}, errNoAnswer
		case err != nil:
			return fanLine{}, err
		case l.Error != "":
			return fanLine{}, errors.New(l.Error)
		case l.Fan != nil:
			return *l.Fan, nil
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		}
	}
}

func (p *child) fanAsk(ctx context.Context, command []byte, progress func(Progress)) (fanLine, error) {
	if _, err := p.stdin.Write(append(command, '\n')); err != nil {
		return fanLine{}, fmt.Errorf("load: child: %w", err)
	}
	return p.fanAnswer(ctx, progress)
}

// Run is Fan.Run.
func (f *FanChild) Run(r FanRun, progress func(Progress)) (FanResult, error) {
	command, err := json.Marshal(r)
	if err != nil {
		return FanResult{}, fmt.Errorf("load: %w", err)
	}
	answer, err := f.child.fanAsk(f.ctx, command, progress)
	switch {
	case err != nil:
		return FanResult{}, err
	case answer.Result == nil:
		return FanResult{}, errors.New("load: child gave another answer than was asked for")
	}
	return *answer.Result, nil
}

// Close ends the child and with it all of its connections.
func (f *FanChild) Close() error { return f.child.wait() }

// fanChild opens the connections that config describes and runs a load for each
// line of in.
func fanChild(config string, in io.Reader, w *lineWriter) error {
	var c FanConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return fmt.Errorf("load: config: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	runs := commands(in, cancel)
	f, err := NewFan(ctx, c)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.write(line{Fan: &fanLine{}}); err != nil {
		return err
	}
	for run := range runs {
		var r FanRun
		if err := json.Unmarshal([]byte(run), &r); err != nil {
			return fmt.Errorf("load: run: %w", err)
		}
		result, err := f.Run(ctx, r, func(p Progress) {
			if w.write(line{Progress: &p}) != nil {
				cancel()
			}
		})
		if err != nil {
			return err
		}
		if err := w.write(line{Fan: &fanLine{Result: &result}}); err != nil {
			return err
		}
	}
	return nil
}
