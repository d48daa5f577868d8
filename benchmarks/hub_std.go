package main

import (
	"log"
	"net"
	"slices"
	"sync"
)

const (
	stdHubBuffer = 64 << 10 // bytes per read
	stdHubGather = 64       // what one write takes from the channel
)

// stdHub is the chat server of many a Go tutorial: for each connection a goroutine
// that reads, one that writes, and a channel in between.
type stdHub struct {
	size int // of a message
	unit int // that goes through the channels

	mu    sync.RWMutex
	peers map[*stdPeer]struct{}
}

type stdPeer struct {
	conn  net.Conn
	queue chan []byte // closed, under the hub's lock, when the peer has left
}

func startStdHub(size int) (string, error)      { return newStdHub(size, size) }
func startStdBatchHub(size int) (string, error) { return newStdHub(size, together) }

// newStdHub serves with package net.
func newStdHub(size, unit int) (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h := &stdHub{size: size, unit: unit, peers: map[*stdPeer]struct{}{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				log.Fatal("std: ", err)
			}
			p := &stdPeer{c, make(chan []byte, hubQueue)}
			h.mu.Lock()
			h.peers[p] = struct{}{}
			h.mu.Unlock()
			go p.write()
			go h.read(p)
		}
	}()
	return l.Addr().String(), nil
}

// read passes on what the peer sends.
func (h *stdHub) read(p *stdPeer) {
	defer func() {
		p.conn.Close()
		h.mu.Lock()
		delete(h.peers, p)
		close(p.queue)
		h.mu.Unlock()
	}()
	buffer := make([]byte, max(stdBufferMin, h.size))
	held := 0
	for {
		n, err := p.conn.Read(buffer[held:])
		if err != nil {
			return
		}
		held += n
		whole := held - held%h.size
		if whole > 0 {
			for unit := range slices.Chunk(append([]byte(nil), buffer[:whole]...), h.unit) {
				h.broadcast(unit)
			}
		}
		if held == len(buffer) && held < stdHubBuffer {
			larger := make([]byte, 2*held)
			held = copy(larger, buffer[whole:held])
			buffer = larger
		} else {
			held = copy(buffer, buffer[whole:held])
		}
	}
}

// broadcast queues one or more messages for every peer. One whose queue is full is let go: its
// reader fails and takes it out.
func (h *stdHub) broadcast(messages []byte) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for p := range h.peers {
		select {
		case p.queue <- messages:
		default:
			p.conn.Close()
		}
	}
}

// write sends what is queued, what has gathered meanwhile in one call.
func (p *stdPeer) write() {
	gathered := make([][]byte, 0, 8)
	for messages := range p.queue {
		gathered = append(gathered[:0], messages)
		for more := true; more && len(gathered) < stdHubGather; {
			select {
			case messages, more = <-p.queue:
				if more {
					gathered = append(gathered, messages)
				}
			default:
				more = false
			}
		}
		buffers := net.Buffers(gathered)
		if _, err := buffers.WriteTo(p.conn); err != nil {
			p.conn.Close()
			for range p.queue { // until the reader has taken the peer out
			}
			return
		}
	}
}
