//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

// Package gnetaddr tells where a gnet engine listens, which gnet does not when the
// kernel has chosen the port.
package gnetaddr

import (
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// Of returns the address of e's listener, once e has booted.
func Of(e gnet.Engine) (string, error) {
	fd, err := e.Dup()
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
