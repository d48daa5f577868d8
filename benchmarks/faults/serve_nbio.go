//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
)

// startNbio serves with nbio, as it comes.
func startNbio(s settings) (running, error) {
	logging.Output = os.Stderr // not where states go
	logging.SetLevel(logging.LevelError)
	ended := make(chan error, 1)
	r := running{ended: ended}
	e := nbio.NewEngine(nbio.Config{
		Network: s.network,
		Addrs:   []string{s.address},
		Listen: func(network, wanted string) (net.Listener, error) {
			l, err := net.Listen(network, wanted)
			if err == nil {
				r.address = l.Addr().String()
			}
			return l, err
		},
	})
	e.OnOpen(func(c *nbio.Conn) {
		p := &nbioPeer{Conn: c, stall: s.stall}
		p.open()
		c.SetSession(p)
		if s.greet != nil && p.send(s.greet) != nil {
			c.Close()
		}
	})
	e.OnClose(func(c *nbio.Conn, _ error) {
		if p, ok := c.Session().(*nbioPeer); ok {
			p.close()
		}
	})
	e.OnData(func(c *nbio.Conn, message []byte) {
		switch handle(c.Session().(*nbioPeer), message) {
		case nil:
		case errStop: // it has no call that does not wait
			go func() { ended <- e.Shutdown(context.Background()) }()
		default:
			c.Close()
		}
	})
	r.shutdown = e.Shutdown
	err := e.Start()
	return r, err
}

type nbioPeer struct {
	*nbio.Conn
	life
	stall time.Duration // patience of a write; 0: none
}

func (p *nbioPeer) send(message []byte) error {
	if p.stall != 0 {
		if err := p.SetWriteDeadline(time.Now().Add(p.stall)); err != nil {
			return err
		}
	}
	_, err := p.Write(message)
	return err
}

func (p *nbioPeer) sendAll(pieces [][]byte) error {
	_, err := p.Writev(pieces)
	return err
}

func (p *nbioPeer) push(message []byte) error     { return p.send(message) }
func (p *nbioPeer) end() error                    { return p.Conn.Close() }
func (p *nbioPeer) setSendBuffer(bytes int) error { return p.SetWriteBuffer(bytes) }
