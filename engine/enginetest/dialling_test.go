package enginetest

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// dial draws what dials of the engine have in common.
func (s *simulation) dial(d draws) []engine.Option {
	x := &dialling{
		sim: s, draws: d, timeout: d.span(20, 3000), routes: make(map[string]*route), total: 1 + d.IntN(6),
		unresolved: s.fault("dial-unresolved", 0, 0, 0.1), refused: s.fault("dial-refused", 0, 0.1, 0.5),
		late: s.fault("dial-late", 0, 0.3), reset: s.fault("dial-reset", 0, 0.1, 0.5),
	}
	x.perAddress = 1 + d.IntN(x.total)
	s.dialling = x
	return []engine.Option{engine.WithDialTimeout(x.timeout), engine.WithDialLimit(x.total, x.perAddress)}
}

// cast draws servers, and the clients of the engine that dial them.
func (x *dialling) cast() {
	s := x.sim
	s.actors = append(s.actors, &actor{part: &s.timers})
	var remotes []*remote
	for i := range 1 + x.draws.IntN(3) {
		r := x.castRemote(i)
		remotes = append(remotes, r)
		s.actors = append(s.actors, &actor{part: r})
	}
	for i := range x.draws.between(1, 6) {
		x.castDialler(i, remotes)
	}
}

// castRemote draws a server, and what becomes of it.
func (x *dialling) castRemote(number int) *remote {
	s := x.sim
	r := &remote{name: fmt.Sprintf("remote%d", number), sim: s, network: "tcp", nap: 300 * time.Millisecond}
	r.draws = drawsOf(s.seed, r.name)
	r.codec = 1 + r.IntN(len(codecs)-1)
	r.addr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(number)}), 7000))
	if r.chance(0.2) {
		r.network, r.addr = "unix", &net.UnixAddr{Net: "unix", Name: "/" + r.name}
	}
	r.lazy = pick(r.draws, slack, 0.1, 0.5)
	r.short = r.chance(0.5)
	at := s.now
	for range r.IntN(6) {
		at = at.Add(r.within(3 * time.Second))
		if c := (change{at, remoteState(r.IntN(int(remoteStates)))}); s.parts.has(fmt.Sprintf("%s.%d", r.name, len(r.changes))) {
			r.changes = append(r.changes, c)
		}
	}
	r.changes = append(r.changes, change{at.Add(time.Second), up})
	return r
}

// castDialler draws a client of the engine.
func (x *dialling) castDialler(number int, remotes []*remote) {
	s := x.sim
	d := &dialler{name: fmt.Sprintf("dialler%d", number), sim: s}
	d.draws = drawsOf(s.seed, d.name)
	d.ledger.owner = d
	d.remote = pick(d.draws, remotes...)
	d.codec = d.remote.codec
	d.queue = pick(d.draws, 0, 300, 8<<10, 1<<20)
	d.backoff.shortest = d.span(1, 300)
	d.backoff.longest = d.backoff.shortest + d.within(2*time.Second)
	d.wild = pick(d.draws, 0, 0.3, 1)
	d.left = d.IntN(40)
	d.at, d.closeAt = s.now, s.now.Add(d.within(15*time.Second))
	address, alone := d.remote.addr.String(), d.chance(0.7) && d.remote.network == "tcp"
	if alone {
		address = fmt.Sprintf("%s.%s.test:7000", d.name, d.remote.name)
	}
	if d.route = x.routes[address]; d.route == nil {
		d.route = &route{remote: d.remote}
		x.routes[address] = d.route
	}
	if alone {
		d.route.owner = d
	}
	if !s.parts.has(d.name) {
		return
	}
	h := session.Framed(lineHandler{d}, codecs[d.codec].codec)
	var err error
	if d.client, err = s.engine.NewClient(d.remote.network, address, h, d.options()...); err != nil {
		panic(err)
	}
	s.diallers = append(s.diallers, d)
	s.actors = append(s.actors, &actor{part: caller{d}})
}
