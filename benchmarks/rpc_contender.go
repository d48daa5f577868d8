package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	stdrpc "net/rpc"
	"strings"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// rpcRequest has a server process answer calls.
const rpcRequest = "rpc"

// rpcContender is a way to make calls and to answer them: each answer has the bytes of
// the request.
type rpcContender struct {
	name  string
	about string

	// start begins to serve on a free port of 127.0.0.1 and returns the address. It serves
	// until the process ends.
	start func() (address string, err error)

	// connect makes connections to such a server.
	connect func(address string, connections int) (rpcClients, error)
}

// rpcClients are connections.
type rpcClients struct {
	calls []rpcCall // over each; any number of goroutines may call
	close func() error
}

// rpcCall makes a call and waits, and tells whether the same bytes came back.
type rpcCall func(body []byte) (same bool, err error)

func rpcContenders() []rpcContender {
	return []rpcContender{
		{"net/rpc", "package net/rpc with gob, its own codec; neither deadlines nor cancels", startStdRPC, connectStdRPC},
		{"weir", "session/message/rpc over this module's engine at both ends, mode pool, binary messages", startWeirRPC(engine.Pool), connectWeirRPC(engine.Pool)},
		{"weir-inline", "the same in mode inline", startWeirRPC(engine.Inline), connectWeirRPC(engine.Inline)},
	}
}

// findRPC returns the contender of that name.
func findRPC(name string) (rpcContender, error) {
	var names []string
	for _, c := range rpcContenders() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return rpcContender{}, fmt.Errorf("unknown contender %q: want one of %s", name, strings.Join(names, ", "))
}

// Echo is the service of package net/rpc.
type Echo struct{}

// Body is its argument and its answer.
type Body struct{ Bytes []byte }

// Echo answers with what it gets.
func (Echo) Echo(asked *Body, answer *Body) error {
	answer.Bytes = asked.Bytes
	return nil
}

func startStdRPC() (string, error) {
	server := stdrpc.NewServer()
	if err := server.Register(Echo{}); err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go server.Accept(l)
	return l.Addr().String(), nil
}

func connectStdRPC(address string, connections int) (clients rpcClients, err error) {
	var all []*stdrpc.Client
	clients.close = func() (err error) {
		for _, c := range all {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for range connections {
		c, err := stdrpc.Dial("tcp", address)
		if err != nil {
			return clients, errors.Join(err, clients.close())
		}
		all = append(all, c)
		clients.calls = append(clients.calls, func(body []byte) (bool, error) {
			var answer Body
			err := c.Call("Echo.Echo", &Body{body}, &answer)
			return equal(answer.Bytes, body), err
		})
	}
	return clients, nil
}

// bodyKey is where weir's messages have their bytes.
const bodyKey = "body"

func startWeirRPC(mode engine.Mode) func() (string, error) {
	return func() (string, error) {
		e, err := engine.New(engine.WithMode(mode))
		if err != nil {
			return "", err
		}
		p, err := rpc.New()
		if err != nil {
			return "", err
		}
		p.Handle("echo", func(r *rpc.Request) (*message.Message, error) {
			body, err := r.Message.Get(bodyKey)
			return r.Message.Reply().Set(bodyKey, body), err
		})
		l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(p, frame.Default()))
		if err != nil {
			return "", err
		}
		return l.Addr().String(), nil
	}
}

func connectWeirRPC(mode engine.Mode) func(string, int) (rpcClients, error) {
	return func(address string, connections int) (clients rpcClients, err error) {
		e, err := engine.New(engine.WithMode(mode))
		if err != nil {
			return clients, err
		}
		clients.close = e.Close
		p, err := rpc.New()
		if err != nil {
			return clients, errors.Join(err, e.Close())
		}
		for range connections {
			s, err := e.Dial(context.Background(), "tcp", address, session.Framed(p, frame.Default()))
			if err != nil {
				return clients, errors.Join(err, e.Close())
			}
			clients.calls = append(clients.calls, func(body []byte) (bool, error) {
				answer, err := p.Call(context.Background(), s, message.New("echo").Set(bodyKey, message.Bytes(body)))
				if err != nil {
					return false, err
				}
				got, err := answer.Get(bodyKey)
				return got.Text() == string(body), err
			})
		}
		return clients, nil
	}
}
