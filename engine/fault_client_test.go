package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Faults of clients that need processes of their own.

// tallyRole serves at an address, counts messages of clients, each of which says who it is
// and which number it has, and tells when the first client came. At the end of its input
// it tells what it has counted: of how many clients, how many messages, how many of these
// were not the next of their client, and the sum of the first number of each client.
func tallyRole(args []string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	e, err := engine.New(engine.WithLoops(2))
	if err != nil {
		return fail(err)
	}
	t := &tally{ready: make(chan struct{}), next: make(map[uint32]uint32)}
	if _, err := e.Listen("tcp4", args[0], session.Framed(t, frame.Default())); err != nil {
		return fail(err)
	}
	fmt.Println("listens")
	close(t.ready)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := e.Close(); err != nil {
		return fail(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Println("tally", len(t.next), t.messages, t.gaps, t.first)
	return 0
}

type tally struct {
	once  sync.Once
	ready chan struct{} // closed when it is said that it listens

	mu       sync.Mutex
	next     map[uint32]uint32
	messages int
	gaps     int
	first    int
}

func (t *tally) OnOpen(*session.Session) {
	t.once.Do(func() {
		now := time.Now()
		<-t.ready // somebody may come before
		fmt.Println("first", now.UnixNano())
	})
}

func (t *tally) OnMessage(_ *session.Session, f session.Frame) {
	who, number := binary.LittleEndian.Uint32(f.Bytes()), binary.LittleEndian.Uint32(f.Bytes()[4:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.messages++
	next, known := t.next[who]
	switch {
	case !known:
		t.first += int(number)
	case number != next:
		t.gaps++
	}
	t.next[who] = number + 1
}

// swarm is many clients of one address, who send all the time.
type swarm struct {
	t       *testing.T
	server  *server
	members []*member
	greedy  atomic.Bool // the first few send a lot
	stop    chan struct{}
	all     sync.WaitGroup

	mu       sync.Mutex
	attempts []time.Time
	comes    []time.Time // OnConnect
	breaths  []time.Time // of the process, every hundredth of a second if the machine lets it
}

type member struct {
	*engine.Client
	number uint32 // of the next message
	buffer []byte

	mu       sync.Mutex
	sessions []*session.Session
	unsent   []*engine.DisconnectError
	taken    atomic.Int64 // completions with nil
	failed   atomic.Int64 // with an error
	notified int64
}

// newSwarm makes them; they have not been started.
func newSwarm(t *testing.T, clients int, address string) *swarm {
	w := &swarm{t: t, stop: make(chan struct{})}
	deps := inject.Deps{Dial: func(ctx context.Context, network, address string) (int, netip.AddrPort, error) {
		w.mu.Lock()
		w.attempts = append(w.attempts, time.Now())
		w.mu.Unlock()
		return sock.Dial(ctx, net.Dialer{}, network, address)
	}}
	w.server = launch(t, engine.WithLoops(2), engine.WithDeps(deps))
	nothing := session.Framed(session.HandlerFunc(func(*session.Session, session.Frame) {}), frame.Default())
	for i := range clients {
		m := &member{buffer: make([]byte, 64)}
		if i < greedyMembers {
			m.buffer = make([]byte, 64<<10)
		}
		binary.LittleEndian.PutUint32(m.buffer, uint32(i))
		var err error
		m.Client, err = w.server.engine.NewClient("tcp4", address, nothing,
			engine.OnConnect(func(_ *engine.Client, s *session.Session) {
				m.mu.Lock()
				m.sessions = append(m.sessions, s)
				m.mu.Unlock()
				w.mu.Lock()
				w.comes = append(w.comes, time.Now())
				w.mu.Unlock()
			}),
			engine.OnDisconnect(func(_ *engine.Client, err error) {
				var why *engine.DisconnectError
				errors.As(err, &why)
				m.mu.Lock()
				m.unsent = append(m.unsent, why)
				m.mu.Unlock()
			}))
		must(t, err)
		w.members = append(w.members, m)
	}
	return w
}

// send has all of them send until stop is closed.
func (w *swarm) send() {
	const senders = 4
	w.all.Go(w.breathe)
	for s := range senders {
		w.all.Go(func() {
			for {
				for i := s; i < len(w.members); i += senders {
					if err := w.members[i].sendNext(i < greedyMembers && w.greedy.Load()); err != nil {
						w.t.Errorf("client %d: %v", i, err)
						return
					}
				}
				select {
				case <-w.stop:
					return
				case <-time.After(10 * time.Millisecond): // the pace
				}
			}
		})
	}
}

// greedyMembers is how many send so much that their sessions cannot get rid of it.
const greedyMembers = 5

// sendNext sends one message, small or large; every third has a completion.
func (m *member) sendNext(large bool) (err error) {
	message := m.buffer[:64]
	if large {
		message = m.buffer
	}
	binary.LittleEndian.PutUint32(message[4:], m.number)
	notify := m.number%3 == 2
	if notify {
		err = m.SendNotify(message, func(err error) {
			if err == nil {
				m.taken.Add(1)
			} else {
				m.failed.Add(1)
			}
		})
	} else {
		err = m.Send(message)
	}
	switch {
	case errors.Is(err, session.ErrBufferFull) && large:
		return nil // another time
	case err != nil:
		return err
	case notify:
		m.notified++
	}
	m.number++
	return nil
}

func (w *swarm) connected() (n int) {
	for _, m := range w.members {
		if m.Session() != nil {
			n++
		}
	}
	return n
}

// breathe notes when the process runs: attempts that were due while the machine did not
// let it come all at once when it does.
func (w *swarm) breathe() {
	for {
		w.mu.Lock()
		w.breaths = append(w.breaths, time.Now())
		w.mu.Unlock()
		select {
		case <-w.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// heldUp is the longest time for which the process did not run that ended within a span.
func (w *swarm) heldUp(from, to time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.breaths); i++ {
		if at := w.breaths[i]; !at.Before(from) && !at.After(to.Add(histogramStep)) {
			longest = max(longest, at.Sub(w.breaths[i-1]))
		}
	}
	return longest
}

// histogramStep is a bar of the histogram of attempts.
const histogramStep = 100 * time.Millisecond

// attemptsSince is how many attempts were made since then, in tenths of a second.
func (w *swarm) attemptsSince(then time.Time) (histogram []int, total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.attempts {
		if at.Before(then) {
			continue
		}
		tenth := int(at.Sub(then) / histogramStep)
		for len(histogram) <= tenth {
			histogram = append(histogram, 0)
		}
		histogram[tenth]++
		total++
	}
	return histogram, total
}

// TestFault26HostKilled has many clients send while their host is stopped, so that not all
// of it goes out, and then killed (kill -9), stays away for a while and is started again. They come back soon, and not all at once; each
// message has been taken by the kernel or is reported, and what was sent meanwhile arrives,
// in order and without a gap.
func TestFault26HostKilled(t *testing.T) {
	clients := amount(1000, 100, 50)
	failures := amount(8, 4, 3) // attempts of each client while the host is away
	address := lastingAddress(t, "tcp4")
	start := func() *child {
		host := startChild(t, "tally", address)
		if line := host.line(t); line != "listens" {
			t.Fatalf("the host says %q", line)
		}
		return host
	}
	w := newSwarm(t, clients, address)
	host := start()
	for _, m := range w.members {
		m.Start()
	}
	until(t, "all are connected", func() bool { return w.connected() == clients })
	w.send()
	first := func() bool {
		for _, m := range w.members {
			if s := m.Session(); s == nil || s.Stats().MessagesOut < 10 {
				return false
			}
		}
		return true
	}
	until(t, "all have sent", first)

	must(t, host.Process.Signal(syscall.SIGSTOP)) // so that something is unsent
	w.greedy.Store(true)
	until(t, "some have more than goes out", func() bool {
		for _, m := range w.members[:greedyMembers] {
			if m.Session().Stats().Queued < 256<<10 {
				return false
			}
		}
		return true
	})
	w.greedy.Store(false)
	must(t, host.Process.Kill())
	killed := time.Now()
	before := w.server.engine.Stats().DialErrors
	until(t, "all have tried again and again", func() bool {
		return w.server.engine.Stats().DialErrors >= before+uint64(failures*clients)
	})
	if n := w.connected(); n != 0 {
		t.Errorf("%d are connected to nobody", n)
	}
	w.mu.Lock()
	w.comes = nil
	w.mu.Unlock()
	host = start()
	until(t, "all are back", func() bool { return w.connected() == clients })
	away := time.Since(killed)
	until(t, "all have sent", first)
	close(w.stop)
	w.all.Wait()
	until(t, "all of it has gone", func() bool { return w.server.engine.Stats().Queued == 0 })
	for _, m := range w.members {
		must(t, m.Close())
	}
	for _, m := range w.members {
		await(t, "the end of a client", m.Done())
	}
	w.mustHaveComeSoon(host, killed, away)
	w.mustAddUp(host)
}

// mustHaveComeSoon checks when they came back, and how they tried.
func (w *swarm) mustHaveComeSoon(host *child, killed time.Time, away time.Duration) {
	t, clients := w.t, len(w.members)
	var nanos int64
	if line := host.line(t); !scans(line, "first %d", &nanos) {
		t.Fatalf("the host says %q", line)
	}
	opened := time.Unix(0, nanos)
	var took []time.Duration
	for _, at := range w.comes {
		took = append(took, at.Sub(opened))
	}
	slices.Sort(took)
	median, p95, last := took[len(took)/2], took[len(took)*95/100], took[len(took)-1]
	histogram, attempts := w.attemptsSince(killed)
	t.Logf("%d clients without a host for %v: from its first accept, half are back after %v, 95 %% after %v, all after %v",
		clients, away.Round(time.Millisecond), median.Round(time.Millisecond), p95.Round(time.Millisecond), last.Round(time.Millisecond))
	t.Logf("%d attempts, in tenths of a second: %v", attempts, histogram)
	if len(took) != clients || p95 > 2*time.Second || last > 5*time.Second {
		t.Errorf("%d of %d came back; 95 %% within %v, want 2s; all within %v, want 5s", len(took), clients, p95, last)
	}
	if most := clients * (6 + int(3*away.Seconds())); attempts > most {
		t.Errorf("%d attempts of %d clients in %v, want at most %d", attempts, clients, away, most)
	}
	for tenth, n := range histogram {
		if tenth < 10 { // at first they are close together
			continue
		}
		held := w.heldUp(killed.Add(time.Duration(tenth)*histogramStep), killed.Add(time.Duration(tenth+1)*histogramStep))
		if due := 1 + int(held/histogramStep); n > due*clients/2 {
			t.Errorf("%d of %d clients tried in the same tenth of a second, to which the machine had held up the process for %v", n, clients, held)
		}
	}
}

// mustAddUp compares what was sent with what sessions had, what was reported, and what the
// second host has counted.
func (w *swarm) mustAddUp(host *child) {
	t := w.t
	var sent, firstHad, secondHad, lost, lostNotified int
	for i, m := range w.members {
		if len(m.sessions) != 2 || len(m.unsent) != 2 {
			t.Fatalf("client %d had %d sessions, of which %d have ended", i, len(m.sessions), len(m.unsent))
		}
		first, second := int(m.sessions[0].Stats().MessagesOut), int(m.sessions[1].Stats().MessagesOut)
		if first+second != int(m.number) {
			t.Errorf("client %d: of %d messages, its sessions had %d and %d", i, m.number, first, second)
		}
		if taken, failed := m.taken.Load(), m.failed.Load(); taken+failed != m.notified || failed != int64(m.unsent[0].Notified) {
			t.Errorf("client %d: of %d with completions, %d were taken, and %d not, of which OnDisconnect tells %d",
				i, m.notified, taken, failed, m.unsent[0].Notified)
		}
		if m.unsent[1].Messages != 0 {
			t.Errorf("client %d: %v", i, m.unsent[1])
		}
		sent, firstHad, secondHad = sent+int(m.number), firstHad+first, secondHad+second
		lost, lostNotified = lost+m.unsent[0].Messages, lostNotified+m.unsent[0].Notified
	}
	host.stdin.Close()
	var clients, messages, gaps, firsts int
	if line := host.line(t); !scans(line, "tally %d %d %d %d", &clients, &messages, &gaps, &firsts) {
		t.Fatalf("the host says %q", line)
	}
	if lost < greedyMembers || lostNotified == 0 {
		t.Errorf("only %d messages were reported unsent, %d of them to completions", lost, lostNotified)
	}
	t.Logf("%d messages: the first sessions had %d, of which %d were reported unsent (%d to completions); the second %d, all of which arrived",
		sent, firstHad, lost, lostNotified, secondHad)
	if clients != len(w.members) || messages != secondHad || gaps != 0 || firsts != firstHad {
		t.Errorf("the second host has counted %d clients, %d messages with %d gaps, which begin at %d; want %d, %d, 0, %d",
			clients, messages, gaps, firsts, len(w.members), secondHad, firstHad)
	}
}

// scans reports whether line is of this format.
func scans(line, format string, to ...any) bool {
	n, err := fmt.Sscanf(line, format, to...)
	return err == nil && n == len(to)
}

// clientRole is a client of an address that echoes, and tells what happens to it.
func clientRole(args []string) int {
	e, err := engine.New(engine.WithLoops(1))
	if err != nil {
		return 1
	}
	c, err := e.NewClient("tcp4", args[0], newEcho(),
		engine.OnConnect(func(*engine.Client, *session.Session) { fmt.Println("connect") }),
		engine.OnDisconnect(func(_ *engine.Client, err error) { fmt.Println("disconnect", reasonText(err)) }))
	if err != nil {
		return 1
	}
	c.Start()
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := e.Close(); err != nil {
		return 1
	}
	return 0
}

// TestFault12StoppedClient stops the process of a client (SIGSTOP) that is being sent a
// lot. Its server closes it as a slow consumer, and others notice nothing; when the client
// goes on, it learns that it was closed, and comes back.
func TestFault12StoppedClient(t *testing.T) {
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithStallTimeout(200*time.Millisecond))
	v.probe.onMessage = func(s *session.Session, f session.Frame) {
		if _, stopped := s.Value().(stoppedOne); !stopped {
			check(t, s.Send(f.Bytes()))
		}
	}
	healthy, _ := v.open()
	c := startChild(t, "client", v.listener.Addr().String())
	opened := await(t, "OnOpen", v.probe.opened)
	opened.SetValue(stoppedOne{})
	if line := c.line(t); line != "connect" {
		t.Fatalf("the client says %q", line)
	}
	must(t, c.Process.Signal(syscall.SIGSTOP))
	defer c.Process.Signal(syscall.SIGCONT)
	piece := make([]byte, 64<<10)
	for len(v.probe.closed) == 0 {
		for opened.Send(piece) == nil { // more than all buffers hold, which may still grow
		}
		mustEcho(t, healthy, "unhurt")
	}
	if reason := v.awaitClose(session.ReasonSlowConsumer); reason.Unsent == 0 {
		t.Error("nothing was unsent")
	}
	must(t, c.Process.Signal(syscall.SIGCONT))
	for _, want := range []string{"disconnect peer_reset", "connect"} {
		if line := c.line(t); line != want {
			t.Fatalf("the client says %q, want %q", line, want)
		}
	}
	again := await(t, "OnOpen", v.probe.opened)
	again.SetValue(stoppedOne{}) // or the two would echo for ever
	must(t, again.Send([]byte("are you back?")))
	until(t, "it echoes", func() bool { return again.Stats().BytesIn >= uint64(len("are you back?")) })
	must(t, again.Abort())
	v.awaitClose(session.ReasonAborted)
	healthy.Close()
}

// stoppedOne marks the session of the client that is stopped.
type stoppedOne struct{}

// pinger is a client's handler that asks a silent host to say something.
type pinger struct {
	session.HandlerFunc
	pings atomic.Int64
}

func (p *pinger) OnPing(s *session.Session) {
	p.pings.Add(1)
	_ = s.Send([]byte("still there?")) // ErrClosed: it is ending
}

// TestFault12StoppedHost stops the process of an idle client's host (SIGSTOP), whose kernel
// goes on answering for it, and even accepts. The heartbeat notices, again and again; when
// the host goes on, so does the client.
func TestFault12StoppedHost(t *testing.T) {
	const interval, missed = 50 * time.Millisecond, 20 // a busy host may be late, by less than a second
	v := launch(t, engine.WithLoops(1), engine.WithHeartbeat(interval, missed))
	process := startChild(t, "echo")
	answers := make(chan string, 1)
	p := &pinger{HandlerFunc: func(_ *session.Session, f session.Frame) {
		if text := string(f.Bytes()); strings.Contains(text, "hello") { // a ping's echo may come with it
			answers <- text
		}
	}}
	ends := make(chan error, 100)
	c := v.clientFor(&host{network: "tcp4", address: process.line(t)}, p, quick,
		engine.OnDisconnect(func(_ *engine.Client, err error) { ends <- err }))
	must(t, c.Connect(t.Context()))
	until(t, "the host answers", func() bool { return p.pings.Load() > missed })
	if len(ends) > 0 {
		t.Fatalf("it has ended: %v", <-ends)
	}
	must(t, process.Process.Signal(syscall.SIGSTOP))
	defer process.Process.Signal(syscall.SIGCONT)
	began := time.Now()
	for i := range 3 {
		if err := await(t, "OnDisconnect", ends); !errors.Is(err, session.ReasonHeartbeat) {
			t.Fatalf("it ended because of %v, want the heartbeat", err)
		}
		if i == 0 {
			t.Logf("noticed after %v, with %d intervals of %v", time.Since(began).Round(time.Millisecond), missed, interval)
		}
	}
	must(t, process.Process.Signal(syscall.SIGCONT))
	for { // the last session may still end
		until(t, "a session", func() bool { return c.Session() != nil })
		must(t, c.Send([]byte("hello")))
		select {
		case <-answers:
			return
		case <-ends:
		}
	}
}
