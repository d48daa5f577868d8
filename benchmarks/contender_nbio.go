//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"io"
	"net"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
)

// startNbio serves with nbio, as it comes. The engine lives as long as the
// process.
func startNbio() (string, error) {
	logging.Output = io.Discard // it tells each start on standard output, where reports go
	var address string
	e := nbio.NewEngine(nbio.Config{
		Network: "tcp4",
		Addrs:   []string{"127.0.0.1:0"},
		Listen: func(network, wanted string) (net.Listener, error) {
			l, err := net.Listen(network, wanted)
			if err == nil {
				address = l.Addr().String()
			}
			return l, err
		},
	})
	e.OnData(func(c *nbio.Conn, message []byte) {
		if _, err := c.Write(message); err != nil {
			c.Close()
		}
	})
	err := e.Start()
	return address, err
}
