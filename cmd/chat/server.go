package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// What the server allows each client.
const (
	roomQueue = 256 << 10 // bytes of messages that wait for it; above, it is closed

	saysPerSecond = 20 // messages; above, it is slowed down
	saysAtOnce    = 200
)

// server is the handler of all sessions. A session's value is its seat, from join on.
type server struct {
	engine *engine.Engine
	store  store

	mu    sync.Mutex
	rooms map[string]*room
}

// seat is where a session is.
type seat struct {
	room *room
	name string
}

// serve serves until ctx ends.
func serve(ctx context.Context, addr string, st store, out io.Writer) error {
	lines, err := codec()
	if err != nil {
		return err
	}
	e, err := engine.New(
		engine.WithGroups(slowReaders),
		engine.WithOutbound(64<<10, 256<<10, historyMax*lineMax), // all that a room remembers, at once
		engine.WithMessageRate(saysPerSecond, saysAtOnce),
		engine.WithThrottle(),
		engine.WithDrainTimeout(2*time.Second),
	)
	if err != nil {
		return err
	}
	defer e.Close()
	h := &server{engine: e, store: st, rooms: map[string]*room{}}
	defer h.close()
	l, err := e.Listen("tcp", addr, session.Framed(h, lines))
	if err != nil {
		return fmt.Errorf("-addr %s: %w", addr, err)
	}
	fmt.Fprintf(out, "chat: listening on %s\n", l.Addr())
	return e.Serve(ctx)
}

// slowReaders says what happens to those who do not keep up, by the group's name.
func slowReaders(group string) session.GroupConfig {
	if strings.HasPrefix(group, presencePrefix) {
		return session.GroupConfig{Slow: session.Conflate, QueueBytes: roomQueue}
	}
	return session.GroupConfig{Slow: session.CloseSlow, QueueBytes: roomQueue}
}

// OnMessage does what a client asks for. What makes no sense is answered, and ends the
// connection.
func (h *server) OnMessage(s *session.Session, f session.Frame) {
	q, err := parseRequest(f.Bytes())
	if err == nil {
		err = h.do(s, q)
	}
	if err != nil {
		_ = s.SendAndClose(line(failure(err)), fmt.Errorf("%w: %w", session.ReasonProtocolError, err))
	}
}

var (
	errJoined  = errors.New("this connection has joined a room already")
	errNowhere = errors.New("join a room first")
	errTaken   = errors.New("somebody else has that name in this room")
)

func (h *server) do(s *session.Session, q request) error {
	at, in := s.Value().(seat)
	switch {
	case q.Do == "pong":
		return nil
	case q.Do == "join" && in:
		return errJoined
	case q.Do == "join":
		return h.join(s, q)
	case !in:
		return errNowhere
	case q.Do == "who":
		names, more := at.room.who()
		send(s, event{Is: "names", Names: names, More: more})
		return nil
	default:
		return at.room.say(s, at.name, q)
	}
}

func (h *server) join(s *session.Session, q request) error {
	r, err := h.room(q.Room)
	if err != nil {
		return err
	}
	s.SetValue(seat{r, q.Name})
	if !r.enter(s, q) {
		s.SetValue(nil)
		return errTaken
	}
	return nil
}

// room returns the room of that name, which begins with the first who asks for it.
func (h *server) room(name string) (*room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[name]
	if r == nil {
		if len(h.rooms) == roomsMax {
			return nil, fmt.Errorf("there are %d rooms, the most allowed", roomsMax)
		}
		var err error
		if r, err = openRoom(h.engine, h.store, name); err != nil {
			return nil, err
		}
		h.rooms[name] = r
	}
	return r, nil
}

// roomsMax bounds the rooms, and their open files.
const roomsMax = 1000

// OnClose takes the session from its room. It has left the groups by itself.
func (h *server) OnClose(s *session.Session, _ error) {
	if at, in := s.Value().(seat); in {
		at.room.leave(s, at.name)
	}
}

func (h *server) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rooms {
		r.journal.close()
	}
}
