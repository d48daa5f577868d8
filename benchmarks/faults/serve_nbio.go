//go:build linux

package main

import (
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
	var r running
	e := nbio.NewEngine(nbio.Config{
		Network: "tcp4",
		Addrs:   []string{"127.0.0.1:0"},
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
	})
	e.OnClose(func(c *nbio.Conn, _ error) {
		if p, ok := c.Session().(*nbioPeer); ok {
			p.close()
		}
	})
	e.OnData(func(c *nbio.Conn, message []byte) {
		if err := handle(c.Session().(*nbioPeer), message); err != nil {
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

func (p *nbioPeer) push(message []byte) error     { return p.send(message) }
func (p *nbioPeer) end() error                    { return p.Conn.Close() }
func (p *nbioPeer) setSendBuffer(bytes int) error { return p.SetWriteBuffer(bytes) }
