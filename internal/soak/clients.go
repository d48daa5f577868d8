//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// sendInterval is the time between two messages of a client.
const sendInterval = 50 * time.Millisecond

// memberSize is how long a client's message is, bytes.
const memberSize = 64

// crowd is clients of one address, which last, send all the time and come back whenever
// they have lost their server. Each keeps book of what becomes of its messages.
type crowd struct {
	engine  *engine.Engine
	members []*member

	sending sync.Mutex // held by whoever sends, and by rest

	mu    sync.Mutex
	state clientsState
}

// clientsState is what a crowd says of itself. Of messages that were Sent, all are
// Echoed, Unsent or Doubtful once nothing is under way.
type clientsState struct {
	Connected   int      `json:"connected"`
	Connects    int64    `json:"connects"`
	Disconnects int64    `json:"disconnects"`
	Sent        int64    `json:"sent"`     // that Send took
	Echoed      int64    `json:"echoed"`   // that came back
	Unsent      int64    `json:"unsent"`   // that OnDisconnect was told of
	Doubtful    int64    `json:"doubtful"` // that a session had sent and not got back when it ended, of which OnDisconnect tells
	Notify      int64    `json:"notify"`   // of those that were sent: by SendNotify
	Notified    int64    `json:"notified"` // completions of these that were called
	Mistakes    []string `json:"mistakes,omitempty"`

	Visits visitsState `json:"visits"` // of the last command
}

// open is how many messages nobody has told about yet.
func (c clientsState) open() int64 { return c.Sent - c.Echoed - c.Unsent - c.Doubtful }

// mistakesMax bounds how many mistakes are kept.
const mistakesMax = 10

func (c *crowd) mistake(format string, args ...any) {
	if len(c.state.Mistakes) < mistakesMax {
		c.state.Mistakes = append(c.state.Mistakes, fmt.Sprintf(format, args...))
	}
}

// member is one of the clients.
//
//	messages  0 ··········│ base ······│ base+echoed ·······│ next
//	          of sessions │ this one   │ under way, or      │
//	          that ended  │ got back   │ waiting in Client  │
type member struct {
	*engine.Client
	crowd  *crowd
	number int

	next uint64 // of its sender

	// Guarded by the crowd's lock.
	session *session.Session // nil: there is none
	base    uint64           // the first message of the session that there is, or will be next
	echoed  uint64           // of that session
}

// clientsMain is the body of the clients' process: args are how many, and the address.
// It writes hello, and then its state for each line on in:
//
//	state             as it is
//	rest              with garbage collected; nobody sends from now on
//	go                everybody sends again
//	visit N ADDRESS   after N clients have been to that address for a while; see visits.go
func clientsMain(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	c, err := newCrowd(args)
	if err != nil {
		_ = lines.Encode(hello{Error: err.Error()})
		return 1
	}
	if err := lines.Encode(hello{}); err != nil {
		return 1
	}
	go c.send()
	resting := false
	for command := range linesOf(in) {
		var visits int
		var address string
		switch {
		case command == rest && !resting:
			c.sending.Lock()
			resting = true
		case command == "go" && resting:
			c.sending.Unlock()
			resting = false
		default:
			if _, err := fmt.Sscanf(command, "visit %d %s", &visits, &address); err == nil {
				c.visit(visits, address)
			}
		}
		if err := lines.Encode(c.report(command == rest)); err != nil {
			return 1
		}
	}
	return 0
}

func newCrowd(args []string) (*crowd, error) {
	var n int
	if len(args) != 2 {
		return nil, fmt.Errorf("%s: want number and address", clientsRole)
	}
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return nil, fmt.Errorf("%s: number %q: %w", clientsRole, args[0], err)
	}
	e, err := engine.New()
	if err != nil {
		return nil, err
	}
	c := &crowd{engine: e}
	for i := range n {
		m := &member{crowd: c, number: i}
		m.Client, err = e.NewClient("tcp4", args[1], session.Framed(m, frame.Default()),
			engine.OnConnect(m.connected), engine.OnDisconnect(m.disconnected))
		if err != nil {
			return nil, err
		}
		c.members = append(c.members, m)
		m.Start()
	}
	return c, nil
}

// send sends a message of each client at intervals, to the end of the process. Every
// third has a completion.
func (c *crowd) send() {
	for range time.Tick(sendInterval) {
		c.sending.Lock()
		for _, m := range c.members {
			m.send()
		}
		c.sending.Unlock()
	}
}

func (m *member) send() {
	c, message := m.crowd, numbered(m.next, memberSize)
	notify := m.next%3 == 2
	var err error
	if notify {
		err = m.SendNotify(message, m.told)
	} else {
		err = m.Send(message)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.mistake("client %d, message %d: %v", m.number, m.next, err)
		return
	}
	m.next++
	c.state.Sent++
	if notify {
		c.state.Notify++
	}
}

func (m *member) told(error) {
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	m.crowd.state.Notified++
}

func (m *member) connected(_ *engine.Client, s *session.Session) {
	c := m.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.session != nil {
		c.mistake("client %d: OnConnect comes twice", m.number)
	}
	m.session, m.echoed = s, 0
	c.state.Connects++
	c.state.Connected++
}

// OnMessage wants the echo of the message after the last one.
func (m *member) OnMessage(_ *session.Session, f session.Frame) {
	number, err := numberOf(f.Bytes())
	c := m.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if want := m.base + m.echoed; err != nil || number != want {
		c.mistake("client %d: got message %d, want %d: %v", m.number, number, want, err)
	}
	m.echoed++
	c.state.Echoed++
}

// disconnected closes the books of a session: what it was given came back, was not sent,
// or is in doubt, in this order.
func (m *member) disconnected(_ *engine.Client, err error) {
	c := m.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	var why *engine.DisconnectError
	var closed *session.CloseError
	if m.session == nil || !errors.As(err, &why) || !errors.As(err, &closed) {
		c.mistake("client %d: OnDisconnect(%v), connected: %v", m.number, err, m.session != nil)
		return
	}
	given := m.session.Stats().MessagesOut
	m.session = nil
	c.state.Disconnects++
	c.state.Connected--
	doubtful := int64(given) - int64(m.echoed) - int64(why.Messages)
	if doubtful < 0 && closed.InWrite == 0 {
		c.mistake("client %d: a session got %d messages, %d came back and %d were not sent", m.number, given, m.echoed, why.Messages)
	}
	c.state.Unsent += int64(why.Messages)
	c.state.Doubtful += doubtful
	m.base += given
	m.echoed = 0
}

func (c *crowd) report(resting bool) state {
	if resting {
		c.settle()
	}
	st := stateOf(c.engine, resting)
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Clients = c.state
	return st
}

// settle waits until nothing is under way. Nobody sends.
func (c *crowd) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	_ = await(ctx, func() bool { // what is under way then is told by the state
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.state.open() == 0 && c.state.Notify == c.state.Notified
	})
}

// await waits until ok, which it asks every few milliseconds. The error is ctx's.
func await(ctx context.Context, ok func() bool) error {
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticks.C:
		}
	}
	return nil
}
