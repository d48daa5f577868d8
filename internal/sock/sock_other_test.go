//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package sock

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestEverythingIsUnsupported(t *testing.T) {
	sys := Kernel()
	_, listenErr := sys.Listen("tcp", ":0", ListenOptions{})
	_, adoptErr := sys.Adopt(nil)
	_, optionErr := sys.Option(0, NoDelay)
	_, dupErr := Dup(nil)
	_, _, dialErr := Dial(context.Background(), net.Dialer{}, "tcp", ":0")
	_, _, _, connErr := AdoptConn(nil)
	_, _, fdErr := FDLimit()
	_, maxErr := Somaxconn()
	_, _, portErr := PortRange()
	for _, err := range []error{listenErr, adoptErr, optionErr, sys.SetOption(0, NoDelay, 1), dupErr, dialErr, connErr, fdErr, maxErr, portErr} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
	}
	_, _, acceptErrno := sys.Accept(0)
	_, recvErrno := sys.Recv(0, nil)
	_, sendErrno := sys.Send(0, nil)
	_, sendvErrno := sys.Sendv(0, nil)
	for _, errno := range []syscall.Errno{acceptErrno, recvErrno, sendErrno, sendvErrno, sys.ShutdownWrite(0), sys.Close(0)} {
		if errno != syscall.ENOSYS {
			t.Errorf("%v, want ENOSYS", errno)
		}
	}
	if a := sys.LocalAddr(0); a != nil {
		t.Errorf("LocalAddr = %v", a)
	}
}
