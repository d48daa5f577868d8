package engine

import (
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/memlimit"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Option changes one default of an engine. A bad value makes New return an
// *OptionError.
type Option func(*options)

// Mode is how loops and handlers are spread over goroutines.
type Mode uint8

// The modes.
const (
	Pool   Mode = iota // several loops; workers run handlers, those of a session in order
	Inline             // several loops, each runs the handlers of its sessions
	Single             // one loop, which runs all handlers: no two ever overlap
)

// String returns the mode's name, as the -mode flag takes it.
func (m Mode) String() string {
	switch m {
	case Pool:
		return "pool"
	case Inline:
		return "inline"
	case Single:
		return "single"
	}
	return "invalid"
}

type options struct {
	mode      Mode
	loops     int
	placement Placement
	reusePort bool
	spin      time.Duration
	yield     time.Duration
	conn      sock.ConnOptions

	dialer      net.Dialer
	dialTimeout time.Duration

	entry      entryLimits
	intake     intakeLimits
	readSize   int
	readBudget int
	mailbox    int
	unread     int

	overload   Overload
	newWorkers func() (workers, error) // of mode Pool

	lowWater      int
	highWater     int
	outboundCap   int
	outboundTotal int64
	idleBuffers   int

	memoryLimit int64     // what was asked for; systemLimit: what the system says
	ceilings    []ceiling // what follows; empty: nothing is done about memory
	group       memlimit.Group

	firstMessage time.Duration
	frame        time.Duration
	idle         time.Duration
	stall        time.Duration
	linger       time.Duration
	lifetime     time.Duration
	heartbeat    time.Duration
	missed       int
	drain        time.Duration
	spread       time.Duration
	watchdog     time.Duration

	connects connectLimits

	groups    func(name string) session.GroupConfig
	backplane session.Backplane

	recent       int
	halfOpen     bool
	crash        bool
	debugBuffers bool
	logger       Logger
	metrics      Metrics
	deps         inject.Deps

	err error // the first bad value
}

// collect applies opts to the defaults, and checks the result.
func collect(opts []Option) (options, error) {
	o := options{
		loops:       runtime.GOMAXPROCS(0),
		conn:        sock.ConnOptions{NoDelay: true, KeepAliveSeconds: 15, UserTimeoutMillis: 30_000},
		readSize:    64 << 10,
		readBudget:  256 << 10,
		mailbox:     1024,
		unread:      64 << 10,
		lowWater:    64 << 10,
		highWater:   256 << 10,
		outboundCap: 4 << 20,
		idleBuffers: 8 << 20,
		memoryLimit: systemLimit,
		frame:       30 * time.Second,
		stall:       30 * time.Second,
		linger:      5 * time.Second,
		drain:       10 * time.Second,
		dialTimeout: 10 * time.Second,
		heartbeat:   15 * time.Second,
		missed:      2,
		watchdog:    100 * time.Millisecond,
		recent:      recentDefault,
		connects:    connectLimits{total: 256, perAddress: 64},
	}
	for _, set := range opts {
		set(&o)
	}
	if o.err != nil {
		return o, o.err
	}
	if o.mode == Single {
		o.loops = 1
	}
	o.settleMemory(memlimit.Find())
	if o.newWorkers == nil {
		WithPoolSize(256 * runtime.GOMAXPROCS(0))(&o)
	}
	if o.logger == nil {
		o.logger = NewZerolog(os.Stderr, Warn)
	}
	return o, nil
}

// reject records a bad value; the first one is reported.
func (o *options) reject(option string, value any, why string) {
	if o.err == nil {
		o.err = &OptionError{Option: option, Value: value, Why: why}
	}
}

// atLeastOne rejects a number, of the named unit if there is one, below 1.
func (o *options) atLeastOne(option string, n int, unit string) {
	if n < 1 {
		o.reject(option, n, strings.TrimSpace("must be at least 1 "+unit))
	}
}

// duration stores d, which must be from lo on; 0 switches off if off is true.
func (o *options) duration(option string, to *time.Duration, d, lo time.Duration, off bool) {
	switch {
	case d == 0 && off, d >= lo:
		*to = d
	case off:
		o.reject(option, d, fmt.Sprintf("must be 0 (off) or at least %v", lo))
	default:
		o.reject(option, d, fmt.Sprintf("must be at least %v", lo))
	}
}

// WithMode chooses how handlers run; the default is Pool.
func WithMode(m Mode) Option {
	return func(o *options) {
		if m > Single {
			o.reject("mode", m, "must be Pool, Inline or Single")
		}
		o.mode = m
	}
}

// WithLoops sets the number of loops, 1 to 256; the default is GOMAXPROCS.
// In mode Single there is one.
func WithLoops(n int) Option {
	return func(o *options) {
		if n < 1 || n > 256 {
			o.reject("loops", n, "must be from 1 to 256")
		}
		o.loops = n
	}
}

// WithPlacement chooses the loop of a new connection; the default is RoundRobin.
func WithPlacement(p Placement) Option {
	return func(o *options) {
		if p > SourceHash {
			o.reject("placement", p, "must be RoundRobin, LeastSessions or SourceHash")
		}
		o.placement = p
	}
}

// WithReusePort gives every loop a TCP listening socket of its own (SO_REUSEPORT,
// socket(7); SO_REUSEPORT_LB on FreeBSD). The kernel then places connections, and a
// loop that is held up holds up those in its queue, too. macOS and the other BSDs
// need not spread them evenly. The default is off.
func WithReusePort() Option { return func(o *options) { o.reusePort = true } }

// WithSpin has a loop poll for this long, 0 to 1 ms, before it parks, while its
// events come no more than four times as far apart. 20 to 50 µs halve the round trip
// of a lone connection, and keep a processor busy meanwhile. The default is 0.
func WithSpin(d time.Duration) Option {
	return func(o *options) {
		if d < 0 || d > time.Millisecond {
			o.reject("spin", d, "must be from 0 to 1ms")
		}
		o.spin = d
	}
}

// WithYield has a loop that always finds work let other threads of its processor run
// every d, 0 to 10 ms, by sched_yield(2). Where more threads want to run than there are
// processors, and all of them belong to this work, 200 µs make p99 two to three times as
// short. Beside other programs that compute it gives most of the processor to them: a
// sixth of the rate was left. The default is 0, never. It does nothing outside Linux.
func WithYield(d time.Duration) Option {
	return func(o *options) {
		if d < 0 || d > 10*time.Millisecond {
			o.reject("yield", d, "must be from 0 to 10ms")
		}
		o.yield = d
	}
}

// WithNoDelay sets TCP_NODELAY on connections, accepted and dialled ones alike; the default is on.
func WithNoDelay(on bool) Option { return func(o *options) { o.conn.NoDelay = on } }

// WithKeepAlive sets for how long nothing may come before the kernel probes the peer
// (TCP keep-alive), in whole seconds; probes then follow each third of it. 0 switches
// them off. The default is 15 s. It should be well below WithUserTimeout, which ends a
// connection with an unanswered probe.
func WithKeepAlive(d time.Duration) Option {
	return func(o *options) {
		if d != 0 && d < time.Second || d > 32767*time.Second {
			o.reject("keep-alive", d, "must be 0 (off) or from 1s to 32767s")
		}
		o.conn.KeepAliveSeconds = int(d / time.Second)
	}
}

// WithUserTimeout bounds how long sent data may stay unacknowledged
// (TCP_USER_TIMEOUT, Linux); 0 leaves it to the system. The default is 30 s.
func WithUserTimeout(d time.Duration) Option {
	return func(o *options) {
		if d < 0 || d > math.MaxInt32*time.Millisecond {
			o.reject("user timeout", d, "must be from 0 to 596h")
		}
		o.conn.UserTimeoutMillis = int(d / time.Millisecond)
	}
}

// WithReadBudget bounds how many bytes one session may read in a turn of its
// loop before the others have theirs; the default is 256 KiB.
func WithReadBudget(bytes int) Option {
	return func(o *options) {
		o.atLeastOne("read budget", bytes, "byte")
		o.readBudget = bytes
	}
}

// WithReadSize sets how many bytes a loop reads at once at most, 4 KiB to 256 KiB; the
// default is 64 KiB. Where messages of 64 KiB follow each other closely, 256 KiB gave 1.1
// to 1.2 times the rate for two thirds of the processor time. Whatever is bounded to within
// one read, as by WithUnread and WithByteRate, is less exact then. Each loop keeps so much
// memory, and more of it at once while what it read is still in use.
func WithReadSize(bytes int) Option {
	return func(o *options) {
		if bytes < 4<<10 || bytes > 256<<10 {
			o.reject("read size", bytes, "must be from 4096 to 262144 bytes")
		}
		o.readSize = bytes
	}
}

// WithMailbox bounds how many posted tasks may wait for a session, and what the
// engine has to do for a loop; the default is 1024.
func WithMailbox(tasks int) Option {
	return func(o *options) {
		o.atLeastOne("mailbox", tasks, "")
		o.mailbox = tasks
	}
}

// WithUnread bounds how many bytes a session may have received and not yet given to
// its handler, in mode Pool: above it reading waits. One read more may come. The
// default is 64 KiB.
func WithUnread(bytes int) Option {
	return func(o *options) {
		o.atLeastOne("unread", bytes, "byte")
		o.unread = bytes
	}
}

// WithOutbound sets a session's water marks and cap for queued output, in bytes,
// with 0 <= low < high <= limit. At high water it stops reading, at low water it
// reads again; above high water what does not fit under the limit is refused.
// The defaults are 64 KiB, 256 KiB and 4 MiB.
func WithOutbound(low, high, limit int) Option {
	return func(o *options) {
		if low < 0 || high <= low || limit < high {
			o.reject("outbound", [3]int{low, high, limit}, "must be 0 <= low < high <= limit")
		}
		o.lowWater, o.highWater, o.outboundCap = low, high, limit
	}
}

// WithOutboundTotal bounds the output queued in all sessions together, in bytes.
// The default is half of what WithMemoryLimit says, by default GOMEMLIMIT, else the
// cgroup's limit, else the machine's memory; 512 MiB where the system does not say, as
// outside Linux. The last quarter is for sessions that have no more than 4 KiB queued.
// Goroutines that send at the same moment may exceed it by a message each.
// Near the default sessions are closed; a total that was set here only refuses.
func WithOutboundTotal(bytes int64) Option {
	return func(o *options) {
		if bytes < 1 {
			o.reject("outbound total", bytes, "must be at least 1 byte")
		}
		o.outboundTotal = bytes
	}
}

// WithIdleBuffers bounds the memory of buffers that is kept for later use, in
// bytes; the default is 8 MiB, 0 keeps none.
func WithIdleBuffers(bytes int) Option {
	return func(o *options) {
		if bytes < 0 {
			o.reject("idle buffers", bytes, "must not be negative")
		}
		o.idleBuffers = bytes
		if bytes == 0 {
			o.idleBuffers = -1
		}
	}
}

// Deadlines are kept to within 20 ms.
const deadlineMin = tickLength

// WithFirstMessageTimeout closes sessions that receive nothing for this long
// after they opened, unless reading is paused; 0 switches it off. The default is
// off, because some servers only push.
func WithFirstMessageTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("first message timeout", &o.firstMessage, d, deadlineMin, true) }
}

// WithFrameTimeout closes sessions whose messages are framed (session.Framed) when this
// long after the first byte of a frame its last one has not come; 0 switches it off.
// While reading is paused the clock stands still, and begins anew. The default is 30 s.
func WithFrameTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("frame timeout", &o.frame, d, deadlineMin, true) }
}

// WithIdleTimeout closes sessions that receive and send nothing for this long.
// That something was sent is noticed when the time is up, which then starts
// again; so is what heartbeats send and receive. While reading is paused the clock stands
// still. The default is off.
func WithIdleTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("idle timeout", &o.idle, d, deadlineMin, true) }
}

// WithStallTimeout aborts sessions as slow consumers when output is queued and
// the kernel takes none of it for this long; 0 switches it off. The default is
// 30 s.
func WithStallTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("stall timeout", &o.stall, d, deadlineMin, true) }
}

// WithLinger bounds how long a closing session waits for the peer's FIN after it
// sent its own; the default is 5 s.
func WithLinger(d time.Duration) Option {
	return func(o *options) { o.duration("linger", &o.linger, d, deadlineMin, false) }
}

// WithLifetime closes sessions that have been open for this long; the default is
// off.
func WithLifetime(d time.Duration) Option {
	return func(o *options) { o.duration("lifetime", &o.lifetime, d, deadlineMin, true) }
}

// WithDrainTimeout bounds the graceful shutdown at the end of Serve, from when the last
// session is sent away; the default is 10 s.
func WithDrainTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("drain timeout", &o.drain, d, deadlineMin, false) }
}

// WithDrainSpread has a graceful shutdown send sessions away one after the other over
// this time, at even intervals, so that their clients do not all come back at the same
// moment elsewhere. Accepting stops at once; each session is served until it is its turn.
// The context of Shutdown must allow for it. The default is 0: all at once.
func WithDrainSpread(d time.Duration) Option {
	return func(o *options) { o.duration("drain spread", &o.spread, d, deadlineMin, true) }
}

// WithWatchdog reports a handler that runs for this long, or a loop whose turn takes as
// long: once, as the event blocked_handler or blocked_loop with its stack, and in Stats.
// It does not end them. It may notice up to a fifth later. The least is 10 ms, 0 switches
// it off; the default is 100 ms.
func WithWatchdog(d time.Duration) Option {
	return func(o *options) { o.duration("watchdog", &o.watchdog, d, 10*time.Millisecond, true) }
}

// WithHalfOpen leaves sessions whose handler is a session.PeerCloser open for
// writing after the peer's FIN; otherwise they drain and close.
func WithHalfOpen() Option { return func(o *options) { o.halfOpen = true } }

// WithCrashOnPanic lets a handler's panic end the process, instead of its
// session.
func WithCrashOnPanic() Option { return func(o *options) { o.crash = true } }

// WithDebugBuffers makes use of released buffers panic and remembers who holds
// the others, at a price; see buffer.Config.
func WithDebugBuffers() Option { return func(o *options) { o.debugBuffers = true } }

// WithLogger sends named events to l; the default writes warnings and errors as
// JSON lines to standard error, with zerolog.
func WithLogger(l Logger) Option {
	return func(o *options) {
		if l == nil {
			o.reject("logger", l, "must not be nil; NoLog is silent")
		}
		o.logger = l
	}
}

// WithMetrics lets m read the engine's counters from New until the engine has ended;
// the default is none. Package engine/metrics has one for expvar.
func WithMetrics(m Metrics) Option {
	return func(o *options) {
		if m == nil {
			o.reject("metrics", m, "must not be nil")
		}
		o.metrics = m
	}
}

// WithDeps replaces clock, sockets and poller. Only weir's own tests can name
// the argument.
func WithDeps(d inject.Deps) Option { return func(o *options) { o.deps = d } }
