package enginetest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// remote is a server that clients of the engine dial. It is killed and comes back, stops
// without a word and goes on, or cannot be reached. It plays no part in the engine.
type remote struct {
	draws
	sim     *simulation
	name    string
	network string
	addr    net.Addr
	codec   int
	state   remoteState
	changes []change
	lazy    float64       // how often it is idle
	nap     time.Duration // for how long at most
	short   bool          // its connections do not live long
	lines   []*line
}

type remoteState uint8

const (
	up      remoteState = iota
	down                // nobody listens: dials are refused
	stopped             // as by SIGSTOP: the kernel still takes connections and bytes
	dark                // unreachable: dials are not answered
	remoteStates
)

func (x remoteState) String() string { return [...]string{"up", "down", "stopped", "dark"}[x] }

// change is what becomes of a server at some time.
type change struct {
	at time.Time
	to remoteState
}

func (r *remote) String() string { return "" }

func (r *remote) ready() bool { return len(r.changes) > 0 && !r.sim.now.Before(r.changes[0].at) }

func (r *remote) wakes() time.Time {
	if len(r.changes) == 0 {
		return time.Time{}
	}
	return r.changes[0].at
}

func (r *remote) step() {
	r.state = r.changes[0].to
	r.changes = r.changes[1:]
	r.sim.note("%s is %v", r.name, r.state)
	if r.state == down {
		for _, k := range r.lines {
			k.leave(true)
		}
	}
}

// route is an address that clients dial, whose name is resolved.
type route struct {
	remote   *remote
	owner    *dialler // who alone dials it; nil: more than one may
	underway int      // dials
}

// dialling is what all dials of an engine have in common.
type dialling struct {
	sim        *simulation
	draws      draws
	total      int // dials at a time
	perAddress int
	underway   int
	timeout    time.Duration
	routes     map[string]*route

	// How often they go wrong, each from 0 to 1.
	unresolved float64
	refused    float64
	late       float64
	reset      float64 // right after the connection is made
}

const (
	// resend is how long a dial that nobody answers waits before it asks again.
	resend = time.Second

	// resends is how often it does.
	resends = 20
)

// dial is inject.Deps.Dial.
func (x *dialling) dial(ctx context.Context, network, address string) (fd int, peer netip.AddrPort, err error) {
	s, to := x.sim, x.routes[address]
	if to == nil || to.remote.network != network {
		s.failf("somebody dials %s %s", network, address)
		return -1, peer, errFailed
	}
	x.underway++
	to.underway++
	s.note("%s is dialled", address)
	if x.underway > x.total || to.underway > x.perAddress {
		s.failf("%s: %d dials are under way, %d to it", address, x.underway, to.underway)
	}
	if d := to.owner; d != nil {
		d.dials()
	}
	k, err := x.connect(ctx, to.remote, address)
	x.underway--
	to.underway--
	s.note("%s: dialled: %v", address, err)
	if d := to.owner; d != nil {
		d.dialled(err)
	}
	if err != nil {
		return -1, peer, err
	}
	if !k.near.unix {
		peer = to.remote.addr.(*net.TCPAddr).AddrPort()
	}
	return k.near.fd, peer, nil
}

func (x *dialling) connect(ctx context.Context, r *remote, address string) (*line, error) {
	s := x.sim
	fail := func(err error) (*line, error) {
		return nil, &net.OpError{Op: "dial", Net: r.network, Addr: r.addr, Err: err}
	}
	if x.draws.chance(x.unresolved) && r.network != "unix" {
		if err := s.await(ctx, nil, x.draws.within(100*time.Millisecond)); err != nil {
			return fail(err)
		}
		return fail(&net.DNSError{Err: "server misbehaving", Name: address, IsTemporary: true})
	}
	wait := time.Duration(1)
	if x.draws.chance(x.late) {
		wait = x.draws.within(500 * time.Millisecond)
	}
	for i := 0; wait > 0; i++ {
		if err := s.await(ctx, nil, wait); err != nil {
			return fail(err)
		}
		switch {
		case r.state != dark:
			wait = 0
		case i == resends:
			return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
		default:
			wait = resend
		}
	}
	if r.state == down || x.draws.chance(x.refused) {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	k := r.connected()
	if x.draws.chance(x.reset) {
		k.leave(true)
	}
	return k, nil
}

// connected makes a connection.
func (r *remote) connected() *line {
	s := r.sim
	k := &line{sim: s, remote: r, talkAt: s.now}
	s.network.mu.Lock()
	k.near, k.far = s.network.pair(r.network == "unix", r.between(64, 64<<10), r.between(64, 64<<10))
	port := s.network.nextPort()
	k.near.port, k.far.port = port, port
	k.near.remote, k.far.local = r.addr, r.addr
	k.near.local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	if k.near.unix {
		k.near.local = &net.UnixAddr{Net: "unix"}
	}
	k.far.remote = k.near.local
	s.network.install(k.near)
	s.network.mu.Unlock()
	k.draws = drawsOf(s.seed, fmt.Sprintf("%s.line%d", r.name, len(r.lines)))
	k.left = pick(k.draws, 0, 3, 20)
	if r.short {
		k.quitAt, k.quits = s.now.Add(k.within(3*time.Second)), quit(k.IntN(int(quitKinds)))
	}
	r.lines = append(r.lines, k)
	s.lines[port] = k
	s.actors = append(s.actors, &actor{part: server{k}})
	k.pulse.hear(s.now) // OnOpen may wait for a worker
	s.note("%s: connected, fd %d", k, k.near.fd)
	return k
}
