//go:build linux

package main

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// startPool serves with weir, handlers on workers of a pool.
func startPool(s settings) (running, error) {
	opts := []engine.Option{engine.WithMode(engine.Pool)}
	if s.workers != 0 {
		opts = append(opts, engine.WithPoolSize(s.workers))
	}
	return startWeir(s, opts...)
}

// startInline serves with weir, handlers on the loops.
func startInline(s settings) (running, error) { return startWeir(s, engine.WithMode(engine.Inline)) }

// startWeir serves with weir: defaults, but for what s asks.
func startWeir(s settings, opts ...engine.Option) (running, error) {
	if s.stall != 0 {
		opts = append(opts, engine.WithStallTimeout(s.stall))
	}
	if s.keepAlive != 0 {
		opts = append(opts, engine.WithKeepAlive(s.keepAlive))
	}
	if s.userTimeout != 0 {
		opts = append(opts, engine.WithUserTimeout(s.userTimeout))
	}
	if s.readRate != 0 {
		opts = append(opts, engine.WithByteRate(s.readRate, s.readRate), engine.WithThrottle())
	}
	if s.careless {
		opts = append(opts, engine.WithMemoryLimit(0))
	}
	switch s.logger {
	case "block":
		opts = append(opts, engine.WithLogger(blockingLog{}))
	case "panic":
		opts = append(opts, engine.WithLogger(panickingLog{}))
	}
	e, err := engine.New(opts...)
	if err != nil {
		return running{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(context.Background()) }()
	r := running{engine: e, stats: func() any { return e.Stats() }, shutdown: e.Shutdown, ended: ended}
	if r.address, err = listenWeir(e, s); err != nil {
		return r, err
	}
	if s.unrelated {
		second, err := engine.New(engine.WithMode(engine.Inline))
		if err != nil {
			return r, err
		}
		r.unrelated, err = listenWeir(second, s)
		return r, err
	}
	return r, nil
}

func listenWeir(e *engine.Engine, s settings) (string, error) {
	l, err := e.Listen(s.network, s.address, weirHandler{e, s.greet})
	if err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

type weirHandler struct {
	engine *engine.Engine
	greet  []byte
}

func (h weirHandler) OnOpen(s *session.Session) {
	p := &weirPeer{Session: s}
	p.open()
	s.SetValue(p)
	if h.greet != nil && p.send(h.greet) != nil {
		_ = s.Abort() // it fails if the session has ended by itself
	}
}

func (h weirHandler) OnMessage(s *session.Session, f session.Frame) {
	switch err := handle(s.Value().(*weirPeer), f.Bytes()); err {
	case nil:
	case errStop:
		h.engine.Stop()
	default:
		_ = s.Abort() // it fails if the session has ended by itself
	}
}

func (weirHandler) OnClose(s *session.Session, reason error) {
	var closed *session.CloseError
	if errors.As(reason, &closed) {
		counters.unhandled.Add(int64(closed.Unhandled))
	}
	s.Value().(*weirPeer).close()
}

type weirPeer struct {
	*session.Session
	life
}

func (p *weirPeer) send(message []byte) error { return p.Send(message) }
func (p *weirPeer) push(message []byte) error { return p.Send(message) }

// sendAll gathers, as all that handlers send does.
func (p *weirPeer) sendAll(pieces [][]byte) error {
	for _, piece := range pieces {
		if err := p.SendOwned(piece, nil); err != nil {
			return err
		}
	}
	return nil
}

// end also looks whether what comes too late is told so.
func (p *weirPeer) end() error {
	err := p.Session.Close()
	late := p.Send([]byte("late"))
	if err != nil && !errors.Is(err, net.ErrClosed) || !errors.Is(late, net.ErrClosed) {
		counters.closeFaults.Add(1)
	}
	return err
}

func (p *weirPeer) setSendBuffer(bytes int) error {
	if t, err := p.TCP(); err == nil {
		return t.SetWriteBuffer(bytes)
	}
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
	})
	return errors.Join(failed, err)
}

// blockingLog never returns: no program can tell it from a full disk.
type blockingLog struct{}

func (blockingLog) Enabled(level engine.Level) bool { return level >= engine.Warn }

func (blockingLog) Log(engine.Level, string, []engine.Field) {
	select {}
}

type panickingLog struct{}

func (panickingLog) Enabled(level engine.Level) bool { return level >= engine.Warn }

func (panickingLog) Log(engine.Level, string, []engine.Field) { panic("the logger is broken") }
