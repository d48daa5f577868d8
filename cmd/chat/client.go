package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// A client is in a room and stays there: the engine brings it back when the connection is
// lost, and these rules make that seamless:
//
//   - A message waits in unheard until the room has said it. At each new connection what
//     waits is said again, before anything new.
//   - Joining tells the number that was seen last, and in which life of the room; what
//     came after follows.
//
// Handlers call it, and whoever reads the terminal.
type client struct {
	room, name string
	key        string       // tells this client from another of the same name
	show       func(string) // a line for the terminal; called by one goroutine at a time

	mu      sync.Mutex
	session *session.Session // nil while there is none
	life    string           // of the room
	seen    int              // seq
	n       int              // of the last message
	unheard []request        // the oldest first
	quiet   chan struct{}    // if not nil, closed when nothing is unheard any more
	refused chan error       // why the server does not want it
}

// unheardMax is how many messages may wait for the server.
const unheardMax = 1000

var errUnheard = errors.New("1000 messages wait for the server; this one is dropped")

func newClient(room, name, key string, show func(string)) *client {
	return &client{room: room, name: name, key: key, show: show, refused: make(chan error, 1)}
}

// OnOpen joins, and says again what was not heard.
func (c *client) OnOpen(s *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	send(s, request{Do: "join", Room: c.room, Name: c.name, Key: c.key, Life: c.life, Seen: c.seen})
	for _, q := range c.unheard {
		send(s, q)
	}
}

// OnClose is called before the engine tries again.
func (c *client) OnClose(s *session.Session, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

// disconnected and reconnecting are for the engine to call; see terminal.go.
func (c *client) disconnected(_ *engine.Client, reason error) {
	c.show(fmt.Sprintf("-- connection lost (%v); coming back by itself, go on typing", reason))
}

func (c *client) reconnecting(_ *engine.Client, attempt int) {
	if attempt&(attempt-1) == 0 { // the 1st, 2nd, 4th...
		c.show(fmt.Sprintf("-- attempt %d", attempt))
	}
}

// say sends a message, now or when there is a connection.
func (c *client) say(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unheard) == unheardMax {
		return errUnheard
	}
	q := request{Do: "say", N: c.n + 1, Text: text}
	if err := q.check(); err != nil {
		return err
	}
	c.n++
	c.unheard = append(c.unheard, q)
	if c.session != nil {
		send(c.session, q)
	}
	return nil
}

// who asks who is there.
func (c *client) who() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		send(c.session, request{Do: "who"})
	}
}

// allHeard returns a channel that is closed when the room has said everything.
func (c *client) allHeard() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet := make(chan struct{})
	c.quiet = quiet
	c.hear(0)
	return quiet
}

// OnMessage shows what the server tells.
func (c *client) OnMessage(s *session.Session, f session.Frame) {
	var e event
	if err := json.Unmarshal(f.Bytes(), &e); err != nil {
		_ = s.CloseWith(fmt.Errorf("%w: %w", session.ReasonProtocolError, err))
		return
	}
	switch e.Is {
	case "said":
		if c.hears(e) {
			c.show(fmt.Sprintf("%s: %s", e.From, e.Text))
		}
	case "joined":
		c.mu.Lock()
		c.life = e.Life
		c.mu.Unlock()
		c.show(fmt.Sprintf("-- in room %s: %s", e.Room, here(e)))
	case "names":
		c.show("-- here: " + here(e))
	case "came", "went":
		c.show(fmt.Sprintf("-- %s %s", e.Name, e.Is))
	case "anew":
		c.mu.Lock()
		c.life, c.seen = e.Life, 0
		c.mu.Unlock()
		c.show("-- the room has begun anew")
	case "gap":
		c.show(fmt.Sprintf("-- %d messages are not remembered any more", e.Lost))
	case "ping":
		send(s, request{Do: "pong"})
	case "error":
		select {
		case c.refused <- errors.New(e.Text):
		default: // it knows
		}
	}
}

// here tells who is there.
func here(e event) string {
	text := fmt.Sprint(e.Names)
	if e.More > 0 {
		text += fmt.Sprintf(" and %d more", e.More)
	}
	return text
}

// hears notes a message, and tells whether it is new.
func (c *client) hears(e event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Key == c.key && e.From == c.name {
		c.n = max(c.n, e.N)
		c.hear(e.N)
	}
	if e.Seq <= c.seen {
		return false
	}
	c.seen = e.Seq
	return true
}

// hear takes the messages up to number n from those that wait.
func (c *client) hear(n int) {
	c.unheard = slices.DeleteFunc(c.unheard, func(q request) bool { return q.N <= n })
	if c.quiet != nil && len(c.unheard) == 0 {
		close(c.quiet)
		c.quiet = nil
	}
}
