package netconn_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session/netconn"
)

// TestNettest runs the suite that package net's own connections have to pass, with a Conn
// at one end, at the other, and at both.
func TestNettest(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		for _, network := range []string{"tcp", "unix"} {
			e := launch(t, opts...)
			l := listen(t, e, network)
			address := l.Addr().String()
			plain := func() (net.Conn, error) { return net.Dial(network, address) }
			dialled := func() (net.Conn, error) { return netconn.Dial(context.Background(), e, network, address) }

			t.Run(network+"/accepted first", func(t *testing.T) { nettest.TestConn(t, pipe(l, plain, false)) })
			t.Run(network+"/accepted second", func(t *testing.T) { nettest.TestConn(t, pipe(l, plain, true)) })
			t.Run(network+"/both, accepted first", func(t *testing.T) { nettest.TestConn(t, pipe(l, dialled, false)) })
			t.Run(network+"/both, dialled first", func(t *testing.T) { nettest.TestConn(t, pipe(l, dialled, true)) })
			plainListener, err := net.Listen(network, freeAddress(t, network))
			must(t, err)
			defer plainListener.Close()
			onlyDialled := func() (net.Conn, error) {
				return netconn.Dial(context.Background(), e, network, plainListener.Addr().String())
			}
			t.Run(network+"/dialled second", func(t *testing.T) { nettest.TestConn(t, pipe(plainListener, onlyDialled, false)) })
		}
	})
}

// pipe connects two ends by real sockets: the one that dial makes, and the one that l then
// accepts, which is the first unless they are swapped.
func pipe(l net.Listener, dial func() (net.Conn, error), swapped bool) nettest.MakePipe {
	return func() (c1, c2 net.Conn, stop func(), err error) {
		if c2, err = dial(); err != nil {
			return nil, nil, nil, err
		}
		if c1, err = l.Accept(); err != nil {
			c2.Close()
			return nil, nil, nil, err
		}
		if swapped {
			c1, c2 = c2, c1
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	}
}
