package main

import (
	"slices"
	"time"
)

// The modes of a suite.
const (
	quickMode = "quick"
	usualMode = "usual"
	fullMode  = "full"
)

// plan is what a suite measures.
type plan struct {
	mode   string
	rounds int
	round  time.Duration // measured time of one load
	warmUp time.Duration

	echo    []echoPart
	fanout  []fanoutCell
	hubs    []string
	idle    idleOptions
	calls   bool          // count system calls
	callsOf time.Duration // measured time of a load that is for this
}

// echoPart are cells that share servers. Those that churn come last.
type echoPart struct {
	contenders []string
	cells      []cell
	churn      []churnCell
}

// Those who take part unless a part says otherwise.
var (
	planContenders = []string{"floor", "weir-pool", "weir", "std", "gnet", "nbio", "netpoll", "asio"}
	planHubs       = []string{"floor", "weir", "weir-inline", "std", "std-batch", "gnet-batch", "nbio-batch", "netpoll-batch"}
)

// withSpin adds those who spin, for a lone connection.
func withSpin(names []string) []string { return append(slices.Clone(names), "floor-spin", "weir-spin") }

// quickPlan shows in about a minute that everything runs, and orders of magnitude.
func quickPlan() plan {
	return plan{
		mode: quickMode, rounds: 3, round: 100 * time.Millisecond, warmUp: 30 * time.Millisecond,
		echo: []echoPart{{
			contenders: planContenders,
			cells:      cellsNamed("100x64x1", "100x64@70%", "10x1048576x1"),
			churn:      []churnCell{{64, 64}},
		}},
		fanout: []fanoutCell{{Subscribers: 100, Size: 64, InFlight: 64}},
		hubs:   []string{"floor", "weir", "weir-inline", "std-batch", "gnet-batch", "nbio-batch", "netpoll-batch"},
		idle:   idleOptions{contenders: planContenders, from: 500, to: 3500, steps: 1},
		calls:  true, callsOf: 60 * time.Millisecond,
	}
}

// usualPlan are the few cells that say most, in about ten minutes: one connection, with
// spinning and without, few, many, small and large messages, a fixed rate, bulk, churn,
// fan-out, memory.
func usualPlan() plan {
	return plan{
		mode: usualMode, rounds: roundsForInterval, round: 200 * time.Millisecond, warmUp: 60 * time.Millisecond,
		echo: []echoPart{
			{contenders: withSpin(planContenders), cells: cellsNamed("1x64x1")},
			{
				contenders: planContenders,
				cells:      cellsNamed("10x64x1", "100x64x1", "100x64x16", "1000x64x16", "100x64@70%", "10x1048576x1"),
				churn:      []churnCell{{64, 64}},
			},
		},
		fanout: []fanoutCell{{Subscribers: 1000, Size: 64, InFlight: 64}, {Subscribers: 1000, Size: 64, Rate: 90}},
		hubs:   planHubs,
		idle:   idleOptions{contenders: planContenders, from: 1000, to: 9000, steps: 2},
		calls:  true, callsOf: 150 * time.Millisecond,
	}
}

// fullPlan is everything: each row that is published anywhere, in about an hour.
func fullPlan() plan {
	p := plan{
		mode: fullMode, rounds: roundsForInterval, round: 300 * time.Millisecond, warmUp: 100 * time.Millisecond,
		fanout: fanoutCells(),
		hubs:   planHubs,
		idle:   idleOptions{contenders: planContenders, from: 2000, to: 18000, steps: 4},
		calls:  true, callsOf: 200 * time.Millisecond,
	}
	lone := cellsNamed("1x64x1", "1x64x16", "1x1024x1", "1x1024x16", "1x65536x1", "1x65536x16")
	many := defaultCells()
	many = append(many, cellsNamed(
		"5000x64x1", "5000x64x16", "100x64@50%", "100x64@70%", "100x64@90%", "1000x64@70%", "10x65536x16", "1x1048576x1", "10x1048576x1")...)
	p.echo = []echoPart{
		{contenders: withSpin(planContenders), cells: lone},
		{contenders: planContenders, cells: many, churn: churnCells()},
	}
	return p
}

// cellsNamed are cells of these names, which are right.
func cellsNamed(names ...string) []cell {
	var cells []cell
	for _, name := range names {
		c, err := parseCell(name)
		if err != nil {
			panic(err)
		}
		cells = append(cells, c)
	}
	return cells
}

// What a load costs besides its measured time: a process, its connections, and what is
// under way at the end. From runs on two processors.
const (
	loadStart      = 35 * time.Millisecond
	perConnection  = 40 * time.Microsecond
	perSubscriber  = 130 * time.Microsecond // to connect, once for each hub
	callsAttach    = 150 * time.Millisecond
	serverStart    = 40 * time.Millisecond
	perIdle        = 130 * time.Microsecond // to connect and echo once
	idleCollection = 60 * time.Millisecond
)

// oneLoad is how long one load is expected to take.
func (p plan) oneLoad(connections int, measured time.Duration) time.Duration {
	return loadStart + time.Duration(connections)*perConnection + p.warmUp + measured
}

// cellTime is how long a cell is expected to take with so many servers.
func (p plan) cellTime(connections, servers int) time.Duration {
	return time.Duration(p.rounds)*p.roundTime(connections, servers) + p.callsTime(connections, servers)
}

func (p plan) roundTime(connections, servers int) time.Duration {
	return time.Duration(servers) * p.oneLoad(connections, p.round)
}

func (p plan) callsTime(connections, servers int) time.Duration {
	if !p.calls {
		return 0
	}
	return time.Duration(servers-1) * (p.oneLoad(connections, p.callsOf) + callsAttach)
}

// idleTime is how long memory takes of one contender, forced or not.
func (p plan) idleTime() time.Duration {
	return 2*serverStart + time.Duration(p.idle.to)*perIdle + time.Duration(p.idle.steps+1)*idleCollection
}

// time is how long all of it is expected to take.
func (p plan) time() time.Duration {
	var all time.Duration
	for _, e := range p.echo {
		servers := len(e.contenders) + 1
		all += time.Duration(servers) * serverStart
		for _, c := range e.cells {
			all += p.cellTime(c.Connections, servers)
		}
		for _, c := range e.churn {
			all += p.cellTime(c.AtOnce, servers)
		}
	}
	servers := len(p.hubs) + 1
	for _, cells := range scenes(p.fanout) {
		all += p.sceneTime(cells[0], servers)
		all += time.Duration(len(cells)) * p.cellTime(0, servers)
	}
	return all + 2*time.Duration(len(p.idle.contenders))*p.idleTime()
}

// sceneTime is how long it takes to start the hubs and connect to them.
func (p plan) sceneTime(c fanoutCell, servers int) time.Duration {
	return time.Duration(servers) * (serverStart + time.Duration(c.Subscribers)*perSubscriber)
}
