//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"log"

	"github.com/panjf2000/gnet/v2"

	"github.com/weirnet/weir/benchmarks/internal/gnetaddr"
)

// startGnet serves with gnet: as many event loops as processors, all else as it
// comes. The engine lives as long as the process.
func startGnet() (string, error) {
	h := &gnetEcho{booted: make(chan gnetAddress, 1)}
	failed := make(chan error, 1)
	go func() {
		failed <- gnet.Run(h, "tcp4://127.0.0.1:0", gnet.WithMulticore(true), gnet.WithLogger(gnetLog{}))
	}()
	select {
	case a := <-h.booted:
		return a.address, a.err
	case err := <-failed:
		return "", err
	}
}

type gnetAddress struct {
	address string
	err     error
}

type gnetEcho struct {
	gnet.BuiltinEventEngine
	booted chan gnetAddress
}

// OnBoot tells the address.
func (h *gnetEcho) OnBoot(e gnet.Engine) gnet.Action {
	address, err := gnetaddr.Of(e)
	h.booted <- gnetAddress{address, err}
	return gnet.None
}

// OnTraffic sends back all that has come.
func (h *gnetEcho) OnTraffic(c gnet.Conn) gnet.Action {
	message, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if _, err := c.Write(message); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// gnetLog keeps gnet off standard output, where reports go.
type gnetLog struct{}

func (gnetLog) Debugf(string, ...any) {}
func (gnetLog) Infof(string, ...any)  {}

func (gnetLog) Warnf(format string, args ...any)  { log.Printf("gnet: "+format, args...) }
func (gnetLog) Errorf(format string, args ...any) { log.Printf("gnet: "+format, args...) }
func (gnetLog) Fatalf(format string, args ...any) { log.Fatalf("gnet: "+format, args...) }
