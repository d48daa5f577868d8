//go:build linux

package main

import (
	"os"

	"github.com/panjf2000/gnet/v2"

	"github.com/weirnet/weir/benchmarks/internal/gnetaddr"
)

// startGnet serves with gnet: as many event loops as processors, all else as it
// comes.
func startGnet(s settings) (running, error) {
	h := &gnetServer{greet: s.greet, booted: make(chan running, 1)}
	ended := make(chan error, 1)
	go func() {
		err := gnet.Run(h, s.network+"://"+s.address, gnet.WithMulticore(true), gnet.WithLogger(gnetLog{}))
		logTo("gnet", "has ended: %v", err)
		ended <- err
	}()
	select {
	case r := <-h.booted:
		r.ended = ended
		return r, nil
	case err := <-ended:
		return running{}, err
	}
}

type gnetServer struct {
	gnet.BuiltinEventEngine
	greet  []byte
	booted chan running
}

// OnBoot tells the address.
func (h *gnetServer) OnBoot(e gnet.Engine) gnet.Action {
	address, err := gnetaddr.Of(e)
	if err != nil {
		logTo("gnet", "address: %v", err)
		return gnet.Shutdown
	}
	h.booted <- running{address: address, shutdown: e.Stop}
	return gnet.None
}

func (h *gnetServer) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	p := &gnetPeer{Conn: c}
	p.open()
	c.SetContext(p)
	return h.greet, gnet.None
}

func (h *gnetServer) OnClose(c gnet.Conn, _ error) gnet.Action {
	if p, ok := c.Context().(*gnetPeer); ok {
		p.close()
	}
	return gnet.None
}

func (h *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	message, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	switch handle(c.Context().(*gnetPeer), message) {
	case nil:
		return gnet.None
	case errStop:
		return gnet.Shutdown
	}
	return gnet.Close
}

type gnetPeer struct {
	gnet.Conn
	life
}

func (p *gnetPeer) send(message []byte) error {
	_, err := p.Write(message)
	return err
}

func (p *gnetPeer) sendAll(pieces [][]byte) error {
	_, err := p.Writev(pieces)
	return err
}

// push copies, because gnet writes later.
func (p *gnetPeer) push(message []byte) error {
	return p.AsyncWrite(append([]byte(nil), message...), nil)
}

func (p *gnetPeer) end() error                    { return p.Conn.Close() }
func (p *gnetPeer) setSendBuffer(bytes int) error { return p.SetWriteBuffer(bytes) }

// gnetLog keeps gnet off standard output, where states go.
type gnetLog struct{}

func (gnetLog) Debugf(string, ...any) {}
func (gnetLog) Infof(string, ...any)  {}

func (gnetLog) Warnf(format string, args ...any)  { logTo("gnet", format, args...) }
func (gnetLog) Errorf(format string, args ...any) { logTo("gnet", format, args...) }

func (gnetLog) Fatalf(format string, args ...any) {
	logTo("gnet", format, args...)
	os.Exit(1)
}
