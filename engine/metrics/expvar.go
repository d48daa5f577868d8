package metrics

import (
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"sync/atomic"

	"github.com/weirnet/weir/engine"
)

// Expvar publishes an engine's counters as the expvar of that name: an object with
// the fields below, read anew each time that somebody looks. That takes about a
// millisecond for 10,000 sessions. What only grows ends in _total, and begins at 0
// with each engine.
//
// The name belongs to the engine from New until its end, and New returns an error
// that wraps ErrNameTaken while another engine, or a variable of someone else's, has
// it. Since expvar forgets no name, it shows null from then until another engine
// takes it.
//
//	accepted_total, refused_total               connections
//	refused_full_total, refused_crowded_total   of those, by limits in all and per address
//	accept_errors_total, accept_pauses_total    of accept, and how often it paused
//	accept_waits_total                          how often accepting waited for its rate
//	dialled_total, dial_errors_total            sessions that were dialled; dials that failed
//	adopted_total                               sessions made of connections that were there
//	opened_total, closed_total{reason}          sessions
//	sessions, sessions_waiting                  open; with handlers that are due
//	handlers_running, overloads_total           at the executor; times it refused
//	blocked_handlers_total, blocked_loops_total what the watchdog reported
//	oldest_handler_seconds, loop_lag_seconds    see engine.Stats
//	throttled_total                             how often sessions waited for their rate
//	pings_total                                 how often silent peers were asked to say something
//	clients                                     that have not ended
//	bytes_in_total, bytes_out_total             taken from and by the kernel
//	unsent_bytes_total, queued_bytes            queued when sessions or clients ended; now
//	unhandled_bytes_total                       received and not handled when sessions ended
//	aborted_total                               sessions left when a shutdown's time was up
//	session_queued_bytes_average, ..._max       of the sessions, now
//	session_queued_max_id                       who has it, as a string
//	loops, turns_total, parks_total             loops, what they did
//	stale_events_total                          for connections that were closed
//	log_dropped_total                           lost events
//	buffer_allocated_bytes_total                memory of buffers so far
//	buffer_in_use_bytes, ..._peak_bytes         now, and at most
//	buffer_idle_bytes, buffer_segments          kept for later use; in use
//	buffer_gets_total, buffer_hits_total        asked for; served from idle memory
//	memory_limit_bytes, memory_use_bytes        of the process, see engine.WithMemoryLimit
//	memory_step                                 0 normal, 1 to 3 what is done about it
//	memory_read_stops_total                     times a loop stopped reading for it
//	memory_accept_stops_total                   times accepting stopped for it
//	memory_idle_dropped_total, ..._fattest_closed_total  sessions ended for it
//	memory_collections_total                    times garbage was collected early
func Expvar(name string) engine.Metrics { return publisher{name} }

// ErrNameTaken tells that an expvar of the name is there already.
var ErrNameTaken = errors.New("metrics: the name is taken")

type publisher struct{ name string }

func (p publisher) Attach(read func() engine.Stats) (detach func(), err error) {
	v, ours := expvar.Get(p.name).(*variable)
	if !ours {
		v = &variable{}
	}
	if !v.read.CompareAndSwap(nil, &read) {
		return nil, fmt.Errorf("%w: expvar %q shows another engine", ErrNameTaken, p.name)
	}
	if !ours {
		if err := publish(p.name, v); err != nil {
			return nil, err
		}
	}
	return func() { v.read.CompareAndSwap(&read, nil) }, nil
}

// publish gives v to expvar, which panics if the name is taken.
func publish(name string, v *variable) (err error) {
	if expvar.Get(name) != nil {
		return fmt.Errorf("%w: expvar %q is not an engine's", ErrNameTaken, name)
	}
	defer func() {
		if recover() != nil { // by another engine, since we looked
			err = fmt.Errorf("%w: expvar %q", ErrNameTaken, name)
		}
	}()
	expvar.Publish(name, v)
	return nil
}

// variable is what expvar keeps, for ever.
type variable struct {
	read atomic.Pointer[func() engine.Stats] // nil while no engine has the name
}

// String returns the counters as JSON.
func (v *variable) String() string {
	read := v.read.Load()
	if read == nil {
		return "null"
	}
	text, err := json.Marshal(valuesOf((*read)()))
	if err != nil {
		return "null" // numbers and strings only: it cannot be
	}
	return string(text)
}
