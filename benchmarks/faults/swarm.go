//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// swarm is many clients of one host, in the engine of a server process. Each sends a
// message every now and then, and keeps book of what it is told; see host.go for who
// reads them.
type swarm struct {
	engine  *engine.Engine
	members []*member
	stop    chan struct{}
	senders sync.WaitGroup

	sent, taken, failed atomic.Int64

	mu     sync.Mutex
	state  swarmState
	marked time.Time   // when the swarm was told so
	came   []time.Time // when sessions began, since then
	tried  []time.Time // when attempts were announced, since then
}

// swarmState is what a swarm says of itself when asked.
type swarmState struct {
	Clients     int            `json:"clients"`
	Connected   int            `json:"connected"`
	Connects    int            `json:"connects"`
	Disconnects int            `json:"disconnects"`
	Reasons     map[string]int `json:"reasons,omitempty"` // of these
	Errors      map[string]int `json:"errors,omitempty"`  // of those that are not connected
	Mistakes    int            `json:"mistakes"`          // calls out of order
	Mistake     string         `json:"mistake,omitempty"` // the first

	// Since the mark.
	Since time.Duration `json:"since_ns"`        // how long ago it was
	Came  int           `json:"came"`            // sessions that began
	Tries []int         `json:"tries,omitempty"` // attempts in each tenth of a second

	// When sessions began, since the moment that was asked about.
	Half time.Duration `json:"half_ns"`
	P95  time.Duration `json:"p95_ns"`
	Last time.Duration `json:"last_ns"`

	// Messages, once nobody sends any more.
	Sent     int64 `json:"sent"`     // that Send took
	Had      int64 `json:"had"`      // that sessions took
	Waits    int64 `json:"waits"`    // bytes queued
	Unsent   int64 `json:"unsent"`   // that OnDisconnect was told of
	Notified int64 `json:"notified"` // of these: the completions were called
	Taken    int64 `json:"taken"`    // completions with nil
	Failed   int64 `json:"failed"`   // completions with an error

	// Of the command connect.
	Outcome string        `json:"outcome,omitempty"`
	Took    time.Duration `json:"took_ns,omitempty"`
}

const (
	swarmMessage = 64                    // bytes
	swarmPump    = 64 << 10              // the same, of one that sends as much as it can
	swarmPause   = 10 * time.Millisecond // between two messages of a client
	swarmSenders = 4
)

// member is one of a swarm's clients.
type member struct {
	*engine.Client
	swarm *swarm

	// Of its sender.
	message []byte
	number  uint32

	// Guarded by the swarm's lock.
	up       bool
	attempt  int
	sessions []*session.Session
}

// newSwarm starts n clients of address. With pump each sends as much as it can, unframed
// and without numbers.
func newSwarm(e *engine.Engine, address string, n int, pump bool) (*swarm, error) {
	w := &swarm{engine: e, stop: make(chan struct{}), marked: time.Now()}
	w.state.Clients, w.state.Reasons = n, map[string]int{}
	handler, size := session.Handler(session.HandlerFunc(func(*session.Session, session.Frame) {})), swarmPump
	if !pump {
		size = swarmMessage
		codec, err := frame.NewFixed(size)
		if err != nil {
			return nil, err
		}
		handler = session.Framed(handler, codec)
	}
	for i := range n {
		m := &member{swarm: w, message: letters(1, size)}
		binary.BigEndian.PutUint32(m.message[4:], uint32(i))
		var err error
		m.Client, err = e.NewClient("tcp4", address, handler,
			engine.OnConnect(m.connected), engine.OnDisconnect(m.disconnected), engine.OnReconnect(m.tries))
		if err != nil {
			return nil, err
		}
		w.members = append(w.members, m)
		m.Start()
	}
	for s := range swarmSenders {
		w.senders.Go(func() { w.send(s, pump) })
	}
	return w, nil
}

// send sends for each fourth member until it is to stop.
func (w *swarm) send(first int, pump bool) {
	for {
		for i := first; i < len(w.members); i += swarmSenders {
			if m := w.members[i]; !pump {
				m.send()
			} else if s := m.Session(); s != nil {
				_ = s.Send(m.message) // there may be no room
			}
		}
		select {
		case <-w.stop:
			return
		case <-time.After(swarmPause):
		}
	}
}

// send sends one message; every third has a completion.
func (m *member) send() {
	binary.BigEndian.PutUint32(m.message[8:], m.number)
	var err error
	if m.number%3 == 2 {
		err = m.SendNotify(m.message, m.told)
	} else {
		err = m.Client.Send(m.message)
	}
	if err == nil {
		m.number++
		m.swarm.sent.Add(1)
	} else if !errors.Is(err, session.ErrBufferFull) {
		m.swarm.mistake("Send: %v", err)
	}
}

func (m *member) told(err error) {
	if err == nil {
		m.swarm.taken.Add(1)
	} else {
		m.swarm.failed.Add(1)
	}
}

func (m *member) connected(_ *engine.Client, s *session.Session) {
	w := m.swarm
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.up {
		w.state.mistake("OnConnect comes twice")
	}
	m.up = true
	m.sessions = append(m.sessions, s)
	w.state.Connects++
	w.came = append(w.came, time.Now())
}

func (m *member) disconnected(_ *engine.Client, err error) {
	w := m.swarm
	w.mu.Lock()
	defer w.mu.Unlock()
	var why *engine.DisconnectError
	var closed *session.CloseError
	switch {
	case !errors.As(err, &why):
		w.state.mistake("OnDisconnect got %T", err)
		return
	case errors.As(err, &closed):
		if !m.up {
			w.state.mistake("OnDisconnect comes without OnConnect")
		}
		w.state.Disconnects++
		w.state.Reasons[closed.Reason.String()+" "+errorName(closed.Err)]++
	}
	m.up = false
	w.state.Unsent += int64(why.Messages)
	w.state.Notified += int64(why.Notified)
}

func (m *member) tries(_ *engine.Client, attempt int) {
	w := m.swarm
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.up || attempt != 1 && attempt != m.attempt+1 {
		w.state.mistake("attempt %d follows attempt %d, connected: %v", attempt, m.attempt, m.up)
	}
	m.attempt = attempt
	w.tried = append(w.tried, time.Now())
}

func (w *swarm) mistake(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.mistake(format, args...)
}

func (s *swarmState) mistake(format string, args ...any) {
	if s.Mistakes++; s.Mistakes == 1 {
		s.Mistake = fmt.Sprintf(format, args...)
	}
}

// mark has the swarm forget when sessions began and attempts were made.
func (w *swarm) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked, w.came, w.tried = time.Now(), nil, nil
}

const tenth = 100 * time.Millisecond

// times fills in what has happened since the mark, and when sessions began as seen from a
// moment.
func (w *swarm) times(st *swarmState, moment time.Time) {
	st.Since, st.Came, st.Tries = time.Since(w.marked), len(w.came), nil
	for _, at := range w.tried {
		n := int(at.Sub(w.marked) / tenth)
		for len(st.Tries) <= n {
			st.Tries = append(st.Tries, 0)
		}
		st.Tries[n]++
	}
	if n := len(w.came); n > 0 { // they are in order
		st.Half, st.P95, st.Last = w.came[n/2].Sub(moment), w.came[n*95/100].Sub(moment), w.came[n-1].Sub(moment)
	}
}

// report returns the state; moment is for swarmState.Half and the others.
func (w *swarm) report(moment time.Time) *swarmState {
	errs, connected := map[string]int{}, 0
	for _, m := range w.members {
		if m.Session() != nil {
			connected++
		} else if err := m.Err(); err != nil {
			errs[errorName(err)]++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.state
	st.Errors, st.Connected, st.Waits = errs, connected, w.engine.Stats().Queued
	st.Sent, st.Taken, st.Failed = w.sent.Load(), w.taken.Load(), w.failed.Load()
	st.Reasons = maps.Clone(st.Reasons)
	w.times(&st, moment)
	for _, m := range w.members {
		for _, s := range m.sessions {
			st.Had += int64(s.Stats().MessagesOut)
		}
	}
	return &st
}

// hush ends the sending.
func (w *swarm) hush() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.senders.Wait()
}

// part closes the clients and waits for their end.
func (w *swarm) part() {
	w.hush()
	for _, m := range w.members {
		_ = m.Close()
	}
	for _, m := range w.members {
		<-m.Done()
	}
}

// connectOnce makes one client connect once, and tells how that ended.
func connectOnce(e *engine.Engine, address string, patience time.Duration) *swarmState {
	st := &swarmState{}
	c, err := e.NewClient("tcp4", address, session.HandlerFunc(func(*session.Session, session.Frame) {}))
	if err != nil {
		st.Outcome = err.Error()
		return st
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	err = c.Connect(ctx)
	st.Took, st.Outcome = time.Since(began), "connected"
	if err != nil {
		st.Outcome = errorName(err)
	}
	_ = c.Close()
	<-c.Done()
	return st
}

// errorName is what an error is, by errors.Is and errors.As.
func errorName(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	var closed *session.CloseError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return errnoName(errno)
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	case errors.As(err, &dns):
		return "DNSError"
	case errors.As(err, &closed):
		return closed.Reason.String()
	}
	return err.Error()
}

func errnoName(errno syscall.Errno) string {
	switch errno {
	case syscall.ECONNREFUSED:
		return "ECONNREFUSED"
	case syscall.ECONNRESET:
		return "ECONNRESET"
	case syscall.EPIPE:
		return "EPIPE"
	case syscall.ETIMEDOUT:
		return "ETIMEDOUT"
	}
	return errno.Error()
}
