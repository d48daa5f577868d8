package rpc_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// TestBigCalls makes a million calls over a hundred connections, or a fiftieth of that.
// Some are cancelled at any moment, some are answered later or from elsewhere, and the
// server is ended in the middle, and started again. Each call ends once. What was answered
// has been carried out once, what was not sent has not been, and the others have been once
// or not at all: by number, and by the sum that the server keeps.
func TestBigCalls(t *testing.T) {
	calls := 20_000
	switch {
	case *big:
		calls = 1_000_000
	case raceEnabled || testing.Short():
		calls = 4000
	}
	for _, s := range settings() {
		if s.network == "tcp4" {
			t.Run(s.name, func(t *testing.T) {
				leaving(t, "calls", func(t *testing.T) { newStress(t, s, calls).run() })
			})
		}
	}
}

const (
	stressConnections = 100
	stressCallers     = 8 // of each connection
)

type stress struct {
	t       *testing.T
	setting setting
	calls   int
	client  *rpc.Peer
	clients *engine.Engine
	servers []*rpc.Peer

	address string
	done    []atomic.Uint32 // by number: how often the server did it
	sum     atomic.Int64    // of the numbers that the server did
	next    atomic.Int64    // number of the next call
	held    chan struct{}   // has a value for each call that the server holds
	half    chan struct{}   // closed when half of them were begun

	ended    []atomic.Uint32 // by number: how often it ended
	outcomes [4]atomic.Int64
}

// Outcomes of calls.
const (
	answered = iota
	cancelled
	inDoubt
	unsent
)

func newStress(t *testing.T, s setting, calls int) *stress {
	return &stress{
		t: t, setting: s, calls: calls, client: newPeer(t), clients: s.launch(t),
		done: make([]atomic.Uint32, calls), ended: make([]atomic.Uint32, calls), half: make(chan struct{}), held: make(chan struct{}, stressConnections),
	}
}

// serve starts a server, at the same address as before.
func (x *stress) serve() *engine.Engine {
	p := newPeer(x.t)
	do := func(m *message.Message) *message.Message {
		n := numberOf(x.t, m)
		x.done[n].Add(1)
		x.sum.Add(int64(n))
		return m.Reply().Set("n", message.Int(n))
	}
	p.Handle("now", func(r *rpc.Request) (*message.Message, error) { return do(r.Message), nil })
	p.Handle("later", func(r *rpc.Request) (*message.Message, error) {
		reply, a := do(r.Message), r.Later()
		go func() { _ = a.Reply(reply) }() // ErrCancelled, ErrClosed
		return nil, nil
	})
	p.HandleApart("apart", func(r *rpc.Request) (*message.Message, error) { return do(r.Message), nil })
	p.HandleApart("hold", func(r *rpc.Request) (*message.Message, error) {
		reply := do(r.Message)
		x.held <- struct{}{}
		<-r.Context().Done()
		return reply, nil
	})
	p.HandleApart("slow", func(r *rpc.Request) (*message.Message, error) { // never answers in time
		reply := do(r.Message)
		<-r.Context().Done()
		return reply, nil
	})
	x.servers = append(x.servers, p)
	e := x.setting.launch(x.t)
	if x.address == "" {
		x.address = x.setting.listen(x.t, e, p)
		return e
	}
	x.setting.listenAt(x.t, e, p, x.address)
	return e
}

func (x *stress) run() {
	began := time.Now()
	first := x.serve()
	var all sync.WaitGroup
	var clients []*engine.Client
	for i := range stressConnections {
		c, err := x.clients.NewClient(x.setting.network, x.address, session.Framed(x.client, frame.Default()))
		must(x.t, err)
		must(x.t, c.Connect(x.t.Context()))
		clients = append(clients, c)
		for j := range stressCallers {
			all.Go(func() { x.call(c, rand.New(rand.NewPCG(uint64(i), uint64(j)))) })
		}
	}
	<-x.half
	for i, c := range clients { // some are under way for certain when the server ends
		n := x.calls - stressConnections + i
		must(x.t, x.client.Go(x.t.Context(), c, number("hold", n), func(reply *message.Message, err error) { x.end(n, reply, err) }))
	}
	for range clients {
		<-x.held
	}
	must(x.t, first.Close())
	x.serve()
	all.Wait()
	until(x.t, "all calls ended", func() bool { return x.total() == int64(x.calls) })
	st := x.client.Stats() // before the pings of settle
	x.settle(clients)
	x.check(st)
	x.t.Logf("%d calls took %v: %d answered, %d cancelled, %d in doubt, %d unsent; %d were carried out", x.calls,
		time.Since(began).Round(time.Millisecond), x.outcomes[answered].Load(), x.outcomes[cancelled].Load(),
		x.outcomes[inDoubt].Load(), x.outcomes[unsent].Load(), x.carriedOut())
}

// settle waits until the servers have carried out what they ever will: calls that were
// cancelled may still be on their way, and come before a ping.
func (x *stress) settle(clients []*engine.Client) {
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	for _, c := range clients {
		until(x.t, "a pong", func() bool { _, err := x.client.Ping(ctx, c); return err == nil })
	}
	for _, p := range x.servers {
		until(x.t, "all places are free", func() bool { return p.Stats().Serving == 0 })
	}
}

func (x *stress) total() (n int64) {
	for i := range x.outcomes {
		n += x.outcomes[i].Load()
	}
	return n
}

func (x *stress) carriedOut() (n int) {
	for i := range x.done {
		n += int(x.done[i].Load())
	}
	return n
}

// call makes calls until there have been enough.
func (x *stress) call(c *engine.Client, rng *rand.Rand) {
	for {
		n := int(x.next.Add(1) - 1)
		if n >= x.calls-stressConnections { // which are held
			return
		}
		if n == x.calls/2 {
			close(x.half)
		}
		x.one(c, rng, n)
	}
}

// one makes a call of some kind.
func (x *stress) one(c *engine.Client, rng *rand.Rand, n int) {
	ctx, cancel := context.WithCancel(x.t.Context())
	pause := time.Duration(rng.IntN(300)) * time.Microsecond
	typ := []string{"now", "now", "now", "later", "apart"}[rng.IntN(5)]
	switch rng.IntN(50) {
	case 0:
		typ = "slow"
		fallthrough
	case 1: // cancelled about when the answer comes
		go func() {
			time.Sleep(pause)
			cancel()
		}()
	case 2:
		cancel() // before it is sent
	case 3:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
		defer stop()
	}
	defer cancel()
	if rng.IntN(2) == 0 {
		reply, err := x.client.Call(ctx, c, number(typ, n))
		x.end(n, reply, err)
		return
	}
	over := make(chan struct{})
	err := x.client.Go(ctx, c, number(typ, n), func(reply *message.Message, err error) {
		x.end(n, reply, err)
		close(over)
	})
	if err != nil {
		x.end(n, nil, err)
		return
	}
	<-over
}

// end is told of the end of a call.
func (x *stress) end(n int, reply *message.Message, err error) {
	x.ended[n].Add(1)
	switch {
	case err == nil:
		x.outcomes[answered].Add(1)
		if got := numberOf(x.t, reply); got != n || x.done[n].Load() != 1 {
			x.t.Errorf("call %d is answered with %d, carried out %d times", n, got, x.done[n].Load())
		}
	case errors.Is(err, rpc.ErrUnsent):
		x.outcomes[unsent].Add(1)
		if x.done[n].Load() != 0 {
			x.t.Errorf("call %d was not sent, and carried out: %v", n, err)
		}
		x.ended[n].Add(1 << 16) // it must stay so
	case !errors.Is(err, rpc.ErrInDoubt):
		x.t.Errorf("call %d has no answer, and is not in doubt: %v", n, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		x.outcomes[cancelled].Add(1)
	default:
		x.outcomes[inDoubt].Add(1)
	}
}

func (x *stress) check(st rpc.Stats) {
	var sum int64
	for n := range x.calls {
		done, ended := x.done[n].Load(), x.ended[n].Load()
		switch {
		case ended&0xFFFF != 1:
			x.t.Errorf("call %d has ended %d times", n, ended&0xFFFF)
		case done > 1:
			x.t.Errorf("call %d was carried out %d times", n, done)
		case done == 1 && ended>>16 != 0:
			x.t.Errorf("call %d was not sent, and carried out", n)
		}
		sum += int64(n) * int64(done)
	}
	if got := x.sum.Load(); got != sum {
		x.t.Errorf("the server's sum is %d, want %d", got, sum)
	}
	if n := x.outcomes[inDoubt].Load(); n < stressConnections {
		x.t.Errorf("%d calls are in doubt, and %d were held when the server ended", n, stressConnections)
	}
	if x.outcomes[answered].Load() == 0 || x.outcomes[cancelled].Load() == 0 || x.outcomes[unsent].Load() == 0 {
		x.t.Error("some outcome has not been seen")
	}
	if st.Answered != uint64(x.outcomes[answered].Load()) || st.Failed != 0 || st.InDoubt != uint64(x.outcomes[cancelled].Load()+x.outcomes[inDoubt].Load()) {
		x.t.Errorf("the peer counted %+v", st)
	}
}
