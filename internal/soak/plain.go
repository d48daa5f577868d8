//go:build linux

package main

import (
	"io"
	"net"
)

// echoPlainly serves with package net, to the end of the process: a goroutine per
// connection, which echoes what it reads. It is what the probes compare with: a machine
// that is busy slows it down, too.
func echoPlainly(address string) (string, error) {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return "", err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, onlyReader{c}) // however it ends
			}()
		}
	}()
	return l.Addr().String(), nil
}

// onlyReader hides that a connection could be spliced.
type onlyReader struct{ io.Reader }
