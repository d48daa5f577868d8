package engine

import (
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/session"
)

// events are what an engine logs, a method each. What peers can cause is logged
// at most once a second and reason, with the number left out since.
//
//	listen        address
//	open          session, remote                                   (debug)
//	close         session, remote, reason, cause, unsent            (debug)
//	slow_consumer as close                                          (warning)
//	panic         session, value, stack                             (error)
//	accept_error  what, cause                                       (warning)
//	drain         sessions
//	failed        cause                                             (error)
//	stats         sessions opened, bytes, at the end
type events struct {
	logger Logger
	clock  inject.Clock

	slow   throttle
	broken throttle
	accept [acceptTroubles]throttle
}

// acceptTrouble is what can go wrong on a connection's way from the listener to
// its loop.
type acceptTrouble uint8

const (
	acceptSkipped  acceptTrouble = iota // the connection was no good
	acceptPaused                        // no descriptors or memory
	acceptRefused                       // no place, or no options, for the connection
	acceptRegister                      // the poller did not take it
	acceptDead                          // the listener is no good any more
	acceptClose                         // the listener did not close
	acceptTroubles
)

func (t acceptTrouble) String() string {
	return [...]string{"skipped", "paused", "refused", "register", "listener is dead", "close listener"}[t]
}

// throttle lets one line through a second.
type throttle struct {
	second  atomic.Int64
	skipped atomic.Int64
}

// pass tells whether to log now, and how many lines were left out before.
func (t *throttle) pass(second int64) (skipped int64, ok bool) {
	last := t.second.Load()
	if last == second || !t.second.CompareAndSwap(last, second) {
		t.skipped.Add(1)
		return 0, false
	}
	return t.skipped.Swap(0), true
}

func (e *events) second() int64 { return e.clock.Now().Unix() }

func (e *events) listening(addr net.Addr) {
	if e.logger.Enabled(Info) {
		e.logger.Log(Info, "listen", []Field{Text("address", addr.String())})
	}
}

func (e *events) open(s *session.Session) {
	if e.logger.Enabled(Debug) {
		e.logger.Log(Debug, "open", about(s))
	}
}

func (e *events) close(s *session.Session, reason *session.CloseError) {
	level, name := Debug, "close"
	fields := []Field(nil)
	if reason.Reason == session.ReasonSlowConsumer {
		skipped, ok := e.slow.pass(e.second())
		if ok {
			level, name = Warn, "slow_consumer"
			fields = append(fields, Number("skipped", skipped))
		}
	}
	if !e.logger.Enabled(level) {
		return
	}
	fields = append(fields, about(s)...)
	fields = append(fields, Text("reason", reason.Reason.String()), Number("unsent", int64(reason.Unsent)))
	if reason.Err != nil {
		fields = append(fields, Text("cause", reason.Err.Error()))
	}
	e.logger.Log(level, name, fields)
}

func (e *events) panicked(id uint64, value any, stack []byte) {
	skipped, ok := e.broken.pass(e.second())
	if ok && e.logger.Enabled(Error) {
		e.logger.Log(Error, "panic", []Field{
			Number("session", int64(id)), Text("value", fmt.Sprint(value)),
			Text("stack", string(stack)), Number("skipped", skipped),
		})
	}
}

// recoverTask is deferred around a posted task.
func (e *events) recoverTask() {
	if value := recover(); value != nil {
		e.panicked(0, value, debug.Stack())
	}
}

func (e *events) acceptError(what acceptTrouble, cause error) {
	skipped, ok := e.accept[what].pass(e.second())
	if ok && e.logger.Enabled(Warn) {
		e.logger.Log(Warn, "accept_error", []Field{
			Text("what", what.String()), Text("cause", cause.Error()), Number("skipped", skipped),
		})
	}
}

func (e *events) draining(sessions int) {
	if e.logger.Enabled(Info) {
		e.logger.Log(Info, "drain", []Field{Number("sessions", int64(sessions))})
	}
}

func (e *events) failed(cause error) {
	if e.logger.Enabled(Error) {
		e.logger.Log(Error, "failed", []Field{Text("cause", cause.Error())})
	}
}

func (e *events) stats(st Stats) {
	if !e.logger.Enabled(Info) {
		return
	}
	fields := []Field{
		Number("accepted", int64(st.Accepted)), Number("opened", int64(st.Opened)),
		Number("bytes_in", int64(st.BytesIn)), Number("bytes_out", int64(st.BytesOut)),
		Number("unsent", int64(st.Unsent)),
	}
	for reason, n := range st.Closed {
		if n > 0 {
			fields = append(fields, Number("closed_"+reason, int64(n)))
		}
	}
	e.logger.Log(Info, "stats", fields)
}

// about are the fields that name a session.
func about(s *session.Session) []Field {
	remote := s.RemoteAddr()
	address := remote.String()
	if address == "" {
		address = remote.Network() // a unix peer without a name
	}
	return []Field{Number("session", int64(s.ID())), Text("remote", address)}
}
