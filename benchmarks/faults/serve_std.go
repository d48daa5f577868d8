//go:build linux

package main

import (
	"errors"
	"net"
	"sync"
	"time"
)

// The pauses of the accept loop after an error that may pass, as in net/http.
const (
	stdPauseMin = 5 * time.Millisecond
	stdPauseMax = time.Second
)

// The buffer of a std connection starts small and doubles with each read that
// fills it. In bytes.
const (
	stdBufferMin = 4 << 10
	stdBufferMax = 64 << 10
)

// startStd serves with package net, a goroutine per connection.
func startStd(s settings) (running, error) {
	l, err := net.Listen(s.network, s.address)
	if err != nil {
		return running{}, err
	}
	go acceptStd(l, s)
	return running{address: l.Addr().String()}, nil
}

// acceptStd accepts until an error that package net does not call temporary.
func acceptStd(l net.Listener, s settings) {
	defer l.Close()
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		if err == nil {
			pause = 0
			go serveStd(&stdPeer{Conn: c, stall: s.stall}, s.greet)
			continue
		}
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			logTo("std", "has ended: %v", err)
			return
		}
		pause = min(max(stdPauseMin, 2*pause), stdPauseMax)
		logTo("std", "accept: %v; again in %v", err, pause)
		time.Sleep(pause)
	}
}

func serveStd(p *stdPeer, greet []byte) {
	p.open()
	defer p.close()
	defer p.Conn.Close()
	if greet != nil && p.send(greet) != nil {
		return
	}
	buffer := make([]byte, stdBufferMin)
	for {
		n, err := p.Read(buffer)
		if n > 0 && handle(p, buffer[:n]) != nil || err != nil {
			return
		}
		if n == len(buffer) && n < stdBufferMax {
			buffer = make([]byte, 2*n)
		}
	}
}

// stdPeer writes one message at a time, each whole.
type stdPeer struct {
	net.Conn
	life
	stall   time.Duration // patience of a write; 0: none
	writing sync.Mutex
}

func (p *stdPeer) send(message []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.stall != 0 {
		if err := p.SetWriteDeadline(time.Now().Add(p.stall)); err != nil {
			return err
		}
	}
	_, err := p.Write(message)
	return err
}

func (p *stdPeer) sendAll(pieces [][]byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := (*net.Buffers)(&pieces).WriteTo(p.Conn)
	return err
}

func (p *stdPeer) push(message []byte) error { return p.send(message) }
func (p *stdPeer) end() error                { return p.Conn.Close() }

func (p *stdPeer) setSendBuffer(bytes int) error {
	return p.Conn.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(bytes)
}
