package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/session"
)

// events are what an engine logs, a method each. What peers and handlers can cause
// is logged at most once a second and reason, with the number left out since, but for
// level Debug. No method waits, and none calls the Logger: see logRing. Of an event
// whose level is off nothing is prepared.
//
//	listen        address
//	open          session, remote                                   (debug)
//	close         session, remote, reason, cause, unsent, unhandled (debug)
//	slow_consumer as close                                          (warning)
//	over_limit    as close                                          (warning)
//	panic         session, value, stack                             (error)
//	accept_error  what, cause                                       (warning)
//	dial_error    network, address, cause                           (warning)
//	overload      policy, waiting                                   (warning)
//	drain         sessions
//	failed        cause                                             (error)
//	memory        what, of, use, limit; sessions and total          (warning)
//	blocked_handler  session, milliseconds, stack                   (warning)
//	blocked_loop     loop, milliseconds, stack                      (warning)
//	stats         what there was in all, and how sessions closed, at the end
//
// Any of them has the field lost if that many events before it did not get through.
type events struct {
	ring  *logRing
	clock inject.Clock

	slow   throttle
	over   throttle
	broken throttle
	full   throttle
	stuck  throttle // handlers
	late   throttle // loops
	memory [memorySteps][memoryNewsKinds]throttle
	accept [acceptTroubles]throttle
	dial   throttle
}

// acceptTrouble is what can go wrong on a connection's way from the listener to
// its loop.
type acceptTrouble uint8

const (
	acceptSkipped  acceptTrouble = iota // the connection was no good
	acceptPaused                        // no descriptors or memory
	acceptRefused                       // no place, or no options, for the connection
	acceptFull                          // there are as many sessions as allowed
	acceptCrowded                       // the same for one address
	acceptRegister                      // the poller did not take it
	acceptDead                          // the listener is no good any more
	acceptClose                         // the listener did not close
	acceptTroubles
)

func (t acceptTrouble) String() string {
	return [...]string{"skipped", "paused", "refused", "full", "crowded", "register", "listener is dead", "close listener"}[t]
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

// stop ends logging: what waits is written first, as long as the Logger does not
// take more than logPatience.
func (e *events) stop() { e.ring.stop(logPatience) }

func (e *events) listening(addr net.Addr) {
	if e.ring.enabled(Info) {
		e.ring.put(Info, "listen", []Field{Text("address", addr.String())})
	}
}

func (e *events) open(s *session.Session) {
	if e.ring.enabled(Debug) {
		e.ring.put(Debug, "open", []Field{number(s), remote(s)})
	}
}

func (e *events) close(s *session.Session, reason *session.CloseError) {
	level, name, skipped := Debug, "close", int64(0)
	var often *throttle
	switch reason.Reason {
	case session.ReasonSlowConsumer:
		often = &e.slow
	case session.ReasonOverLimit:
		often = &e.over
	}
	if often != nil {
		if n, ok := often.pass(e.second()); ok {
			level, name, skipped = Warn, reason.Reason.String(), n
		}
	}
	if !e.ring.enabled(level) {
		return
	}
	fields := append(make([]Field, 0, 7), number(s), remote(s),
		Text("reason", reason.Reason.String()),
		Number("unsent", int64(reason.Unsent)), Number("unhandled", int64(reason.Unhandled)))
	if reason.Err != nil {
		fields = append(fields, cause(reason.Err))
	}
	if level == Warn {
		fields = append(fields, Number("skipped", skipped))
	}
	e.ring.put(level, name, fields)
}

func (e *events) panicked(id uint64, value any, stack []byte) {
	skipped, ok := e.broken.pass(e.second())
	if ok && e.ring.enabled(Error) {
		e.ring.put(Error, "panic", []Field{
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

func (e *events) acceptError(what acceptTrouble, err error) {
	skipped, ok := e.accept[what].pass(e.second())
	if ok && e.ring.enabled(Warn) {
		e.ring.put(Warn, "accept_error", []Field{Text("what", what.String()), cause(err), Number("skipped", skipped)})
	}
}

// dialError tells that a dial failed, unless nobody wants it any more.
func (e *events) dialError(network, address string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrStopped) {
		return
	}
	skipped, ok := e.dial.pass(e.second())
	if ok && e.ring.enabled(Warn) {
		e.ring.put(Warn, "dial_error", []Field{
			Text("network", network), Text("address", address), cause(err), Number("skipped", skipped),
		})
	}
}

// overloaded tells that the executor refused work, what becomes of it, and how many
// sessions wait.
func (e *events) overloaded(policy string, waiting int) {
	skipped, ok := e.full.pass(e.second())
	if ok && e.ring.enabled(Warn) {
		e.ring.put(Warn, "overload", []Field{
			Text("policy", policy), Number("waiting", int64(waiting)), Number("skipped", skipped),
		})
	}
}

// blockedHandler tells of a session's handler that has run for so long. The stack is
// taken only if it is wanted.
func (e *events) blockedHandler(id uint64, took time.Duration, stack func() string) {
	e.blocked(&e.stuck, "blocked_handler", Number("session", int64(id)), took, stack)
}

// blockedLoop tells of a loop whose turn has taken so long.
func (e *events) blockedLoop(index int, took time.Duration, stack func() string) {
	e.blocked(&e.late, "blocked_loop", Number("loop", int64(index)), took, stack)
}

func (e *events) blocked(t *throttle, name string, who Field, took time.Duration, stack func() string) {
	skipped, ok := t.pass(e.second())
	if ok && e.ring.enabled(Warn) {
		e.ring.put(Warn, name, []Field{
			who, Number("milliseconds", took.Milliseconds()), Text("stack", stack()), Number("skipped", skipped),
		})
	}
}

// memoryNews is what there is to tell of a step.
type memoryNews uint8

const (
	stepBegins memoryNews = iota
	stepEnds
	stepActs // it has ended sessions
	memoryNewsKinds
)

// memoryStep tells of a step, and of the ceiling that it is taken for; false if it was
// not told, as something of the kind was just before.
func (e *events) memoryStep(step MemoryStep, news memoryNews, c *ceiling, more ...Field) bool {
	skipped, ok := e.memory[step][news].pass(e.second())
	if ok && e.ring.enabled(Warn) {
		what := step.String() + [...]string{" begins", " ends", ""}[news]
		fields := append([]Field{Text("what", what), Text("of", c.kind.String()), Number("use", c.use), Number("limit", c.limit)}, more...)
		if news != stepActs { // whose sessions are told together
			fields = append(fields, Number("skipped", skipped))
		}
		e.ring.put(Warn, "memory", fields)
	}
	return ok
}

func (e *events) draining(sessions int) {
	if e.ring.enabled(Info) {
		e.ring.put(Info, "drain", []Field{Number("sessions", int64(sessions))})
	}
}

func (e *events) failed(err error) {
	if e.ring.enabled(Error) {
		e.ring.put(Error, "failed", []Field{cause(err)})
	}
}

func (e *events) stats(st Stats) {
	if !e.ring.enabled(Info) {
		return
	}
	fields := []Field{
		Number("accepted", int64(st.Accepted)), Number("refused", int64(st.Refused)),
		Number("dialled", int64(st.Dialled)), Number("dial_errors", int64(st.DialErrors)),
		Number("adopted", int64(st.Adopted)), Number("opened", int64(st.Opened)),
		Number("bytes_in", int64(st.BytesIn)), Number("bytes_out", int64(st.BytesOut)),
		Number("unsent", int64(st.Unsent)), Number("unhandled", int64(st.Unhandled)),
		Number("aborted", int64(st.Aborted)), Number("overloads", int64(st.Overloads)),
		Number("blocked_handlers", int64(st.BlockedHandlers)), Number("blocked_loops", int64(st.BlockedLoops)),
		Number("log_dropped", int64(st.LogDropped)),
	}
	for r := session.ReasonPeerClosed; int(r) < session.Reasons; r++ {
		if n := st.Closed[r.String()]; n > 0 {
			fields = append(fields, Number("closed_"+r.String(), int64(n)))
		}
	}
	e.ring.put(Info, "stats", fields)
}

func number(s *session.Session) Field { return Number("session", int64(s.ID())) }

func remote(s *session.Session) Field {
	addr := s.RemoteAddr()
	text := addr.String()
	if text == "" {
		text = addr.Network() // a unix peer without a name
	}
	return Text("remote", text)
}

// cause is the field of an error. It may be a user's, and panic when asked for its
// text; fmt recovers that.
func cause(err error) Field { return Text("cause", fmt.Sprint(err)) }
