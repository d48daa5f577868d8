package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What is promised of clients whatever the mode; the rest is in conformance_client_test.go.

func TestClientOptions(t *testing.T) {
	v := launch(t)
	for _, c := range []struct {
		network, address string
		opt              engine.ClientOption
		option, value    string
	}{
		{"udp", "127.0.0.1:1", nil, "network", "udp"},
		{"", "127.0.0.1:1", nil, "network", ""},
		{"tcp", "", nil, "address", ""},
		{"tcp", "127.0.0.1", nil, "address", "127.0.0.1"},
		{"unix", "", nil, "address", `""`},
		{"tcp", "127.0.0.1:1", engine.WithBackoff(0, time.Second), "back-off", "[0s 1s]"},
		{"tcp", "127.0.0.1:1", engine.WithBackoff(time.Second, time.Millisecond), "back-off", "[1s 1ms]"},
		{"tcp", "127.0.0.1:1", engine.WithReconnectQueue(-1), "reconnect queue", "-1"},
		{"tcp", "127.0.0.1:1", engine.WithAttemptTimeout(-1), "attempt timeout", "-1ns"},
	} {
		opts := []engine.ClientOption{}
		if c.opt != nil {
			opts = append(opts, c.opt)
		}
		_, err := v.engine.NewClient(c.network, c.address, newEcho(), opts...)
		var bad *engine.OptionError
		if !errors.As(err, &bad) || bad.Option != c.option || fmt.Sprint(bad.Value) != c.value {
			t.Errorf("%s %q: %v, want an OptionError of %s with %s", c.network, c.address, err, c.option, c.value)
		}
	}
	var bad *engine.OptionError
	if _, err := v.engine.NewClient("tcp", "127.0.0.1:1", nil); !errors.As(err, &bad) || bad.Option != "handler" {
		t.Errorf("no handler: %v, want an OptionError", err)
	}
	if _, err := engine.New(engine.WithDialLimit(1, 2)); !errors.As(err, &bad) || bad.Option != "dial limit" {
		t.Errorf("dial limits 1 and 2: %v, want an OptionError", err)
	}
	if n := v.engine.Stats().Clients; n != 0 {
		t.Errorf("%d clients are counted", n)
	}
}

// cycle is what a client is told from one connection to the next.
var cycle = regexp.MustCompile(`^(reconnect \d+\n)*open\nconnect\n(message \w+\n)*close \w+\ndisconnect \w+\n`)

// TestClientOrderOverRestarts has one client see its host go away and come back a hundred
// times, in every way that it can. It is told of all of it, in order.
func TestClientOrderOverRestarts(t *testing.T) {
	restarts := amount(100, 100, 20)
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			v := launch(t, engine.WithMode(mode), engine.WithLoops(2), impatient)
			h, d := newHost(t, "tcp4"), newDiary()
			h.up()
			c := v.client(h, d)
			c.Start()
			for i := range restarts {
				peer := h.accept()
				if i%2 == 0 {
					_, err := io.WriteString(peer, "a")
					must(t, err)
				}
				d.await(t, "connect", i+1)
				switch i % 4 {
				case 0:
					d.await(t, "message a", i/2+1)
					peer.Close()
				case 1:
					h.down()
					until(t, "an attempt fails", func() bool { return strings.HasPrefix(d.last(), "reconnect") })
					h.up()
				case 2:
					reset(t, peer)
				case 3:
					must(t, c.Session().Abort())
				}
				until(t, "it has ended", func() bool { return strings.Count(strings.Join(d.all(), "\n"), "disconnect") == i+1 })
			}
			d.await(t, "connect", restarts+1) // a session that opens when its client is closed has no OnConnect
			h.down()
			must(t, c.Close())
			await(t, "the end", c.Done())
			mustBeCycles(t, d, restarts+1)
		})
	}
}

// mustBeCycles wants so many connections in a diary, each from OnOpen to OnDisconnect,
// and attempts that are counted by one, or from 1 on.
func mustBeCycles(t *testing.T, d *diary, want int) {
	t.Helper()
	d.mustBeRight(t)
	text := strings.Join(d.all(), "\n") + "\n"
	last, n := 0, 0
	for ; cycle.MatchString(text); n++ {
		found := cycle.FindString(text)
		text = text[len(found):]
		for i, line := range strings.Split(found, "\n") {
			number, ok := strings.CutPrefix(line, "reconnect ")
			if !ok {
				continue
			}
			attempt, _ := strconv.Atoi(number)
			if attempt != last+1 && (attempt != 1 || i > 0) {
				t.Errorf("attempt %d follows attempt %d in %q", attempt, last, found)
			}
			last = attempt
		}
	}
	rest := regexp.MustCompile(`reconnect \d+\n`).ReplaceAllString(text, "")
	if n < want || rest != "" {
		t.Errorf("%d connections, want %d; what does not fit:\n%s", n, want, text)
	}
}

// pacer is time as clients see it: it writes down for how long they want to wait, and
// does not have them wait. Random numbers are the highest.
type pacer struct {
	mu     sync.Mutex
	waits  []time.Duration
	offset atomic.Int64
}

func (p *pacer) deps() inject.Deps {
	return inject.Deps{
		Clock:  p,
		Random: func(n int64) int64 { return n - 1 },
		AfterFunc: func(d time.Duration, f func()) func() bool {
			if d > 0 {
				p.mu.Lock()
				p.waits = append(p.waits, d)
				p.mu.Unlock()
			}
			return time.AfterFunc(0, f).Stop
		},
	}
}

func (p *pacer) Now() time.Time { return time.Now().Add(time.Duration(p.offset.Load())) }

// taken returns how long the waits were since the last call, in milliseconds.
func (p *pacer) taken() (all []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waits {
		all = append(all, w.Milliseconds())
	}
	p.waits = nil
	return all
}

// TestFault27FlappingHost: a host that accepts and closes at once is tried less and less
// often, although every attempt succeeds; only a connection that lives begins it anew.
func TestFault27FlappingHost(t *testing.T) {
	var p pacer
	v := launch(t, engine.WithDeps(p.deps()), impatient)
	h, d := newHost(t, "tcp4"), newDiary()
	h.up()
	const lives = time.Minute // which none of those does that are closed at once, on however busy a machine
	c := v.clientFor(h, d, d.options(engine.WithBackoff(3*time.Second, lives))...)
	c.Start()
	flap := func(times int) {
		t.Helper()
		for range times {
			peer := h.accept()
			_, err := io.WriteString(peer, "busy") // it even says something
			must(t, err)
			peer.Close()
		}
	}
	flap(8)
	peer := h.accept()
	d.await(t, "connect", 9)
	if got, want := fmt.Sprint(p.taken()), "[6000 12000 24000 48000 60000 60000 60000 60000]"; got != want {
		t.Errorf("waits of %v ms, want %v", got, want)
	}
	p.offset.Add(int64(lives)) // now it has lived
	peer.Close()
	flap(3)
	h.accept()
	d.await(t, "connect", 13)
	if got, want := fmt.Sprint(p.taken()), "[6000 12000 24000 48000]"; got != want {
		t.Errorf("after one that lived: waits of %v ms, want %v", got, want)
	}
	d.await(t, "reconnect 8", 1)
	d.await(t, "reconnect 4", 2)
	must(t, c.Close())
	h.down() // the poller waits by the system's clock, and so would for the end of the linger time
	await(t, "the end", c.Done())
	mustBeCycles(t, d, 13)
}

// deadAddress is one that never answers.
const deadAddress = "192.0.2.1:9"

// deadDial has dials of deadAddress hang until their context ends, and counts them.
type deadDial struct{ under, most atomic.Int64 }

func (d *deadDial) deps() inject.Deps {
	return inject.Deps{Dial: func(ctx context.Context, network, address string) (int, netip.AddrPort, error) {
		if address != deadAddress {
			return sock.Dial(ctx, net.Dialer{}, network, address)
		}
		n := d.under.Add(1)
		defer d.under.Add(-1)
		for seen := d.most.Load(); n > seen && !d.most.CompareAndSwap(seen, n); seen = d.most.Load() {
		}
		<-ctx.Done()
		return -1, netip.AddrPort{}, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}}
}

// TestFault25ClientsOfDeadAddress: an address that does not answer holds up neither the
// clients of others, nor Close, nor the engine's end, and has few goroutines.
func TestFault25ClientsOfDeadAddress(t *testing.T) {
	const clients, limit = 100, 8
	var dials deadDial
	v := launch(t, engine.WithDialLimit(2*limit, limit), engine.WithDeps(dials.deps()), impatient)
	before := runtime.NumGoroutine()
	dead := &host{t: t, network: "tcp4", address: deadAddress}
	var all []*engine.Client
	for range clients {
		c := v.clientFor(dead, newEcho())
		c.Start()
		all = append(all, c)
	}
	until(t, "the limit is used", func() bool { return dials.under.Load() == limit })
	until(t, "few goroutines for many clients", func() bool { return runtime.NumGoroutine()-before <= 3*limit })

	h, d := newHost(t, "tcp4"), newDiary()
	h.up()
	v.client(h, d).Start()
	mustEchoNothing(t, h.accept())
	d.await(t, "connect", 1)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	slow := v.clientFor(dead, newEcho())
	if err := slow.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) { // while it waits for its turn
		t.Errorf("Connect: %v, want DeadlineExceeded", err)
	}
	for _, c := range all { // those that dial, and those that wait to
		must(t, c.Close())
		await(t, "the end of a client", c.Done())
	}
	until(t, "no dial is under way", func() bool { return dials.under.Load() == 0 })
	if n := dials.most.Load(); n > limit {
		t.Errorf("%d dials at once, want at most %d", n, limit)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := slow.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) { // while it dials
		t.Errorf("Connect: %v, want DeadlineExceeded", err)
	}
	timed := v.clientFor(dead, newEcho(), engine.WithAttemptTimeout(time.Millisecond))
	if err := timed.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an attempt of a millisecond: %v, want DeadlineExceeded", err)
	}
	hangs := make(chan error, 1)
	go func() { hangs <- slow.Connect(t.Context()) }()
	until(t, "it dials", func() bool { return dials.under.Load() == 1 })
	must(t, slow.Close())
	if err := await(t, "Connect", hangs); !errors.Is(err, session.ErrClosed) {
		t.Errorf("Connect of a client that was closed: %v, want ErrClosed", err)
	}
	last := v.clientFor(dead, newEcho())
	last.Start()
	until(t, "it dials", func() bool { return dials.under.Load() == 1 })
	began := time.Now()
	must(t, v.engine.Close())
	if took := time.Since(began); took > patience/2 {
		t.Errorf("Engine.Close took %v while a client dialled", took)
	}
	await(t, "the end of the client", last.Done())
}

// mustEchoNothing looks whether the connection is there.
func mustEchoNothing(t *testing.T, c stream) {
	t.Helper()
	_, err := io.WriteString(c, "x")
	must(t, err)
}

// TestBigClientsCostNoGoroutine: neither those that are connected, nor those that wait.
func TestBigClientsCostNoGoroutine(t *testing.T) {
	clients := amount(9000, 1000, 100) // each takes two descriptors of this process
	v := launch(t, engine.WithLoops(2), impatient)
	there := v.listen("tcp4", newEcho()).Addr().String()
	gone := newHost(t, "tcp4")
	base := runtime.NumGoroutine()
	var all []*engine.Client
	add := func(to string, opts ...engine.ClientOption) {
		c, err := v.engine.NewClient("tcp4", to, session.HandlerFunc(func(*session.Session, session.Frame) {}), opts...)
		must(t, err)
		c.Start()
		all = append(all, c)
	}
	cost := func(what string, heap uint64) {
		until(t, "their goroutines have ended", func() bool { return runtime.NumGoroutine() <= base+extraGoroutines })
		t.Logf("%d %s clients: %d goroutines more, %d bytes of heap each", clients, what, runtime.NumGoroutine()-base, (heapInUse()-heap)/uint64(clients))
	}
	heap := heapInUse()
	for range clients {
		add(there)
	}
	until(t, "all are connected", func() bool { return v.engine.Count() == 2*clients })
	cost("connected (and as many sessions at the other end)", heap)
	heap = heapInUse()
	for range clients {
		add(gone.address, engine.WithBackoff(time.Hour, time.Hour))
	}
	until(t, "all have tried", func() bool { return v.engine.Stats().DialErrors == uint64(clients) })
	cost("waiting", heap)

	if n := v.engine.Stats().Clients; n != 2*clients {
		t.Errorf("%d clients are counted, want %d", n, 2*clients)
	}
	for _, c := range all {
		must(t, c.Close())
	}
	for _, c := range all {
		await(t, "the end of a client", c.Done())
	}
}

// extraGoroutines may come and go by themselves: workers, and those of timers.
const extraGoroutines = 40

// TestClientHammer has many send while the host comes and goes, reads or does not, and
// others call whatever there is. The accounts add up: each message that was taken went to a
// session or was reported at the end, each completion was called once, and those that failed
// are those that OnDisconnect was told of.
func TestClientHammer(t *testing.T) {
	rounds := amount(60, 20, 5)
	for round := range rounds {
		hammerClient(t, uint64(round))
	}
}

func hammerClient(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 4))
	mode := []engine.Mode{engine.Pool, engine.Inline, engine.Single}[random.IntN(3)]
	v := launch(t, engine.WithMode(mode), engine.WithLinger(10*time.Millisecond), engine.WithOutbound(1000, 10_000, 50_000))
	h, d := newHost(t, "tcp4"), newDiary()
	var mu sync.Mutex
	var sessions []*session.Session
	var notified, kept int
	d.onOpen = func(s *session.Session) {
		mu.Lock()
		defer mu.Unlock()
		sessions = append(sessions, s)
	}
	d.onDisconnect = func(_ *engine.Client, why *engine.DisconnectError) {
		mu.Lock()
		defer mu.Unlock()
		notified += why.Notified
		if why.Err == session.ErrClosed {
			kept += why.Messages - why.Notified
		}
	}
	c := v.clientFor(h, d, d.options(engine.WithReconnectQueue(20_000), engine.OnReconnect(nil))...)
	var taken, completions, failures, keptNotified atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for sender := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p := make([]byte, 1+(i*7+sender)%300)
				var err error
				if i%3 == 0 {
					err = c.SendNotify(p, func(err error) {
						completions.Add(-1)
						switch err {
						case nil:
						case session.ErrClosed:
							keptNotified.Add(1)
						default:
							failures.Add(1)
						}
					})
					if err == nil {
						completions.Add(1)
					}
				} else {
					err = c.Send(p)
				}
				switch {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, session.ErrBufferFull), errors.Is(err, session.ErrMailboxFull):
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("Send: %v", err)
					return
				}
			}
		})
	}
	all.Go(func() { // somebody who meddles
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			_ = c.Connect(ctx) // it may work
			cancel()
			if s := c.Session(); s != nil && i%50 == 0 {
				_ = s.Abort() // it may have ended
			}
			_ = c.Err()
		}
	})
	c.Start()
	for range 10 {
		h.up()
		peer := await(t, "a connection", h.accepted)
		switch random.IntN(3) {
		case 0:
			_, _ = io.CopyN(io.Discard, peer, int64(random.IntN(100_000))) // it may have been aborted
		case 1:
			_ = peer.(*net.TCPConn).SetLinger(0) // it may be one of an earlier round
			_ = peer.Close()
		}
		h.down()
	}
	close(stop)
	all.Wait()
	// An attempt that fails now has begun when the host was gone, or comes to nothing: none
	// from before is under way that would have a session yet.
	until(t, "the last session has ended", func() bool {
		return c.Connect(t.Context()) != nil && c.Session() == nil && v.engine.Count() == 0
	})
	must(t, c.Close())
	await(t, "the end", c.Done())
	mu.Lock()
	defer mu.Unlock()
	if kept > 0 {
		notified -= int(keptNotified.Load()) // they were told then, too
	}
	if n := completions.Load(); n != 0 || notified != int(failures.Load()) {
		t.Errorf("seed %d: %d completions were not called; %d failed, OnDisconnect tells of %d", seed, n, failures.Load(), notified)
	}
	had := uint64(0)
	for _, s := range sessions {
		had += s.Stats().MessagesOut
	}
	if kept += int(keptNotified.Load()); uint64(taken.Load()) != had+uint64(kept) {
		t.Errorf("seed %d: of %d messages, sessions had %d, and %d were reported at the end", seed, taken.Load(), had, kept)
	}
	if st := v.engine.Stats(); st.Queued != 0 {
		t.Errorf("seed %d: %d bytes are still counted as queued", seed, st.Queued)
	}
	d.mustBeRight(t)
}

// TestClientLateTimer: a timer that fires when its client is in other hands already, and
// waits for another one, finds nothing to do.
func TestClientLateTimer(t *testing.T) {
	timers := make(chan func(), 10)
	v := launch(t, engine.WithDeps(inject.Deps{AfterFunc: func(d time.Duration, f func()) func() bool {
		if d == 0 {
			return time.AfterFunc(0, f).Stop
		}
		timers <- f
		return func() bool { return false } // too late
	}}))
	h, d := newHost(t, "tcp4"), newDiary()
	c := v.client(h, d)
	c.Start()
	late := await(t, "the first back-off", timers)
	if err := c.Connect(t.Context()); err == nil {
		t.Fatal("Connect succeeds")
	}
	due := await(t, "the second back-off", timers)
	late()
	if all := d.all(); len(all) > 0 {
		t.Errorf("a timer that is over leads to %q", all)
	}
	due()
	d.await(t, "reconnect 1", 1)
	again := await(t, "the third back-off", timers)
	must(t, c.Close())
	await(t, "the end", c.Done())
	again()
	if all := d.all(); len(all) > 1 {
		t.Errorf("calls %q", all)
	}
}

// TestClientCodecRefuses: what waited, and cannot be framed by the codec that OnConnect has
// set, is reported; the rest is sent.
func TestClientCodecRefuses(t *testing.T) {
	v := launch(t, impatient)
	h, d := newHost(t, "tcp4"), newDiary()
	four, err := frame.NewFixed(4)
	must(t, err)
	d.onConnect = func(_ *engine.Client, s *session.Session) { s.SetCodec(four) }
	lost := make(chan *engine.DisconnectError, 1)
	d.onDisconnect = func(_ *engine.Client, why *engine.DisconnectError) { lost <- why }
	c := v.client(h, d)
	told := make(chan error, 4)
	for _, text := range []string{"good", "not so good", "fine", "bad"} {
		must(t, c.Send([]byte(text)))
		must(t, c.SendNotify([]byte(text), func(err error) { told <- err }))
	}
	h.up()
	c.Start()
	mustRead(t, h.accept(), "goodgoodfinefine")
	refusals := 0
	for range 4 {
		var bad *frame.Error
		if err := await(t, "a completion", told); errors.As(err, &bad) {
			refusals++
		} else {
			must(t, err)
		}
	}
	must(t, c.Close())
	why := await(t, "OnDisconnect", lost)
	if refusals != 2 || why.Messages != 2 || why.Notified != 0 || why.Bytes != len("not so good")+len("bad") {
		t.Errorf("%d completions with a frame.Error, want 2; OnDisconnect got %+v", refusals, why)
	}
	await(t, "the end", c.Done())
	if st := v.engine.Stats(); st.Unsent != uint64(why.Bytes) || st.Queued != 0 {
		t.Errorf("Stats: %d bytes unsent, %d queued; want %d and 0", st.Unsent, st.Queued, why.Bytes)
	}
	d.mustBe(t, "open", "connect", "close local_close", "disconnect local_close")
}

// slowOpener has OnOpen wait until it is told to go on.
type slowOpener struct{ entered, goOn, closed chan struct{} }

func (h *slowOpener) OnOpen(*session.Session) {
	h.entered <- struct{}{}
	<-h.goOn
}

func (h *slowOpener) OnMessage(*session.Session, session.Frame) {}

func (h *slowOpener) OnClose(*session.Session, error) { h.closed <- struct{}{} }

// TestConnectGivesUpDuringOnOpen: Connect tells an error because its context has ended, and so
// the attempt has failed: the session whose OnOpen is running is closed, and the client does
// not go on by itself.
func TestConnectGivesUpDuringOnOpen(t *testing.T) {
	v := launch(t, impatient)
	h := newHost(t, "tcp4")
	h.up()
	slow := &slowOpener{make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 1)}
	connected := make(chan struct{}, 1)
	c, err := v.engine.NewClient("tcp", h.address, slow, engine.OnConnect(func(*engine.Client, *session.Session) { connected <- struct{}{} }))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.Connect(ctx) }()
	await(t, "OnOpen", slow.entered)
	cancel()
	err = await(t, "Connect", result)
	close(slow.goOn)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Connect: %v", err)
	}
	_ = h.accept().Close()
	select {
	case <-connected:
		t.Error("OnConnect is called")
	case <-slow.closed:
	}
	if got := c.Err(); c.Session() != nil || !errors.Is(got, context.Canceled) {
		t.Errorf("there is a session: %v; Err: %v", c.Session() != nil, got)
	}
	must(t, c.Connect(t.Context())) // it can go on
	await(t, "OnOpen", slow.entered)
	must(t, c.Close())
	await(t, "the end", c.Done())
}

// TestDialGivesUpAsItOpens: the time is up at the moment in which the session opens. Its
// handlers run, and the client goes on when they have ended, not beside them.
func TestDialGivesUpAsItOpens(t *testing.T) {
	var waits atomic.Int32
	wait := func(ctx context.Context, done <-chan struct{}, _ time.Duration) error {
		if waits.Add(1) == 1 { // until it is open
			<-done
			return context.DeadlineExceeded
		}
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	v := launch(t, engine.WithDeps(inject.Deps{Wait: wait}), impatient)
	h := newHost(t, "tcp4")
	h.up()
	slow := &slowOpener{make(chan struct{}, 2), make(chan struct{}), make(chan struct{}, 2)}
	c, err := v.engine.NewClient("tcp", h.address, slow)
	must(t, err)
	if err := c.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect: %v", err)
	}
	await(t, "OnOpen", slow.entered)
	c.Start()
	select {
	case <-slow.entered:
		t.Error("another session opens while OnOpen of the first one runs")
	case <-time.After(50 * time.Millisecond): // it would not take that long
	}
	slow.goOn <- struct{}{}
	await(t, "OnClose", slow.closed)
	await(t, "OnOpen of the next one", slow.entered)
	close(slow.goOn)
	must(t, c.Close())
	await(t, "the end", c.Done())
}
