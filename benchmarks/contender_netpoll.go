//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"context"
	"log"
	"runtime"

	"github.com/cloudwego/netpoll"
)

// startNetpoll serves with netpoll until the process ends: with a poller per processor, of
// which it has one by itself, and without its pool of goroutines.
func startNetpoll() (string, error) {
	plain := func(_ context.Context, handle func()) { go handle() }
	if err := netpoll.Configure(netpoll.Config{PollerNum: runtime.GOMAXPROCS(0), Runner: plain}); err != nil {
		return "", err
	}
	l, err := netpoll.CreateListener("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	loop, err := netpoll.NewEventLoop(echoNetpoll)
	if err != nil {
		return "", err
	}
	go func() { log.Fatal("netpoll: ", loop.Serve(l)) }()
	return l.Addr().String(), nil
}

// echoNetpoll sends back all that has come. A connection that fails closes by
// itself.
func echoNetpoll(_ context.Context, c netpoll.Connection) error {
	message, err := c.Reader().Next(c.Reader().Len())
	if err != nil {
		return err
	}
	if _, err := c.Writer().WriteBinary(message); err != nil {
		return err
	}
	return c.Writer().Flush()
}
