//go:build linux

package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A message that begins with an exclamation mark is a command, by which a client
// has the server's handler misbehave. It must come alone in one read: whoever sends
// one has nothing else under way. Everything else is echoed.
//
//	!panic TEXT       panic with that text
//	!sleep DURATION   block, then answer
//	!burn DURATION    compute, then answer
//	!sndbuf BYTES     set the socket's send buffer, then answer
//	!flood BYTE N     send N times that byte, from a goroutine of its own
//	!segments N M     send N bytes of its own in M pieces, by a gathering write
//	!end N            send N bytes and close, several times over; see ending
//	!stop             answer with the command, and stop the server
const commandMark = '!'

// done is the answer to a command.
const done = "done"

// peer is a server's connection as its handler sees it.
type peer interface {
	// send answers; only in the handler. sendAll does so with pieces that are to be
	// written together.
	send(p []byte) error
	sendAll(pieces [][]byte) error

	// push sends from any goroutine.
	push(p []byte) error

	// end closes, after what was sent; from any goroutine.
	end() error

	// setSendBuffer sets SO_SNDBUF.
	setSendBuffer(bytes int) error
}

// errStop is what handle returns when the server is to stop.
var errStop = errors.New("stop")

// handle is what every server does with a message.
func handle(p peer, message []byte) error {
	counters.handled.Add(int64(len(message)))
	if len(message) == 0 || message[0] != commandMark {
		return p.send(message)
	}
	name, rest, _ := strings.Cut(string(message[1:]), " ")
	switch name {
	case "panic":
		panic(rest)
	case "sleep":
		time.Sleep(mustDuration(rest))
	case "burn":
		for until := time.Now().Add(mustDuration(rest)); time.Now().Before(until); {
		}
	case "sndbuf":
		if err := p.setSendBuffer(mustNumber(rest)); err != nil {
			return p.send([]byte(err.Error()))
		}
	case "flood":
		tag, amount, _ := strings.Cut(rest, " ")
		go flood(p, tag, mustNumber(amount))
		return nil
	case "segments":
		amount, pieces, _ := strings.Cut(rest, " ")
		return p.sendAll(cut(ownText(mustNumber(amount)), mustNumber(pieces)))
	case "end":
		return ending(p, mustNumber(rest))
	case "stop":
		if err := p.send(message); err != nil {
			return err
		}
		return errStop
	}
	return p.send([]byte(done))
}

// The harness writes the commands; one that cannot be read is its mistake, and
// counts as a duration or number of 0.

func mustDuration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}

func mustNumber(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// ownText is what a server sends unasked, so that clients can compare it.
func ownText(n int) []byte { return letters(1, n) }

// cut cuts text into n pieces.
func cut(text []byte, n int) (pieces [][]byte) {
	for ; n > 0; n-- {
		size := len(text) / n
		pieces, text = append(pieces, text[:size]), text[size:]
	}
	return pieces
}

// floodPiece is how much flood sends at a time, in bytes.
const floodPiece = 4 << 10

func flood(p peer, tag string, amount int) {
	piece := bytes.Repeat([]byte(tag), floodPiece)
	for amount > 0 {
		n := min(amount, len(piece))
		if err := p.push(piece[:n]); err != nil {
			return // the client has left
		}
		amount -= n
	}
}

// ending closes in the handler with data queued, twice, and from three goroutines
// at the same time. Later closes may fail, but not panic.
func ending(p peer, amount int) error {
	if err := p.send(bytes.Repeat([]byte{'e'}, amount)); err != nil {
		counters.closeFaults.Add(1)
	}
	for range 3 {
		go closeAgain(p)
	}
	_ = p.end() // one of the four closes, and the others may say so
	closeAgain(p)
	return nil
}

func closeAgain(p peer) {
	defer func() {
		if recover() != nil {
			counters.closeFaults.Add(1)
		}
	}()
	_ = p.end()
}
