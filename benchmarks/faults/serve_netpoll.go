//go:build linux

package main

import (
	"context"
	"errors"
	"sync"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// startNetpoll serves with netpoll, as it comes.
func startNetpoll(s settings) (running, error) {
	l, err := netpoll.CreateListener(s.network, s.address)
	if err != nil {
		return running{}, err
	}
	ended := make(chan error, 1)
	var loop netpoll.EventLoop
	stop := func() { // it has no call that does not wait
		go func() { ended <- loop.Shutdown(context.Background()) }()
	}
	serve := func(ctx context.Context, c netpoll.Connection) error { return serveNetpoll(ctx, c, stop) }
	opts := []netpoll.Option{netpoll.WithOnPrepare(openNetpoll), netpoll.WithWriteTimeout(s.stall)}
	if s.greet != nil {
		opts = append(opts, netpoll.WithOnConnect(func(ctx context.Context, c netpoll.Connection) context.Context {
			if ctx.Value(netpollKey{}).(*netpollPeer).send(s.greet) != nil {
				c.Close()
			}
			return ctx
		}))
	}
	loop, err = netpoll.NewEventLoop(serve, opts...)
	if err != nil {
		return running{}, err
	}
	go func() { logTo("netpoll", "has ended: %v", loop.Serve(l)) }()
	return running{address: l.Addr().String(), shutdown: loop.Shutdown, ended: ended}, nil
}

// netpollKey is where a connection's context has its peer.
type netpollKey struct{}

func openNetpoll(c netpoll.Connection) context.Context {
	p := &netpollPeer{Connection: c}
	p.open()
	err := c.AddCloseCallback(func(netpoll.Connection) error {
		p.close()
		return nil
	})
	if err != nil {
		logTo("netpoll", "close callback: %v", err)
	}
	return context.WithValue(context.Background(), netpollKey{}, p)
}

func serveNetpoll(ctx context.Context, c netpoll.Connection, stop func()) error {
	message, err := c.Reader().Next(c.Reader().Len())
	if err != nil {
		return err
	}
	switch handle(ctx.Value(netpollKey{}).(*netpollPeer), message) {
	case nil:
		return nil
	case errStop:
		stop()
		return nil
	}
	return c.Close()
}

// netpollPeer writes one message at a time: netpoll's writer is not made for more.
type netpollPeer struct {
	netpoll.Connection
	life
	writing sync.Mutex
}

func (p *netpollPeer) send(message []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if _, err := p.Writer().WriteBinary(message); err != nil {
		return err
	}
	return p.Writer().Flush()
}

// sendAll has the writer gather.
func (p *netpollPeer) sendAll(pieces [][]byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	for _, piece := range pieces {
		if _, err := p.Writer().WriteBinary(piece); err != nil {
			return err
		}
	}
	return p.Writer().Flush()
}

// push writes as to a net.Conn: the writer must not be used once the connection is
// closed, which only the handler can know.
func (p *netpollPeer) push(message []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.Write(message)
	return err
}

func (p *netpollPeer) end() error { return p.Connection.Close() }

func (p *netpollPeer) setSendBuffer(bytes int) error {
	c, ok := p.Connection.(interface{ Fd() int })
	if !ok {
		return errors.New("netpoll: the connection does not tell its descriptor")
	}
	return unix.SetsockoptInt(c.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
}
