package main

import (
	"time"

	"github.com/weirnet/weir/internal/load"
)

// The tests of the suite, as the results name them.
const (
	echoTest   = "echo"   // closed loop
	openTest   = "open"   // echo at a fixed rate
	bulkTest   = "bulk"   // echo of large messages
	churnTest  = "churn"  // connections that come and go
	fanoutTest = "fanout" // one message to many
	paceTest   = "pace"   // one message to many at a fixed rate
	idleTest   = "idle"   // memory of silent connections
)

// bulkSize is from what size of messages on an echo counts as bulk.
const bulkSize = 64 << 10

func testOfEcho(c cell) string {
	switch {
	case c.open():
		return openTest
	case c.Size >= bulkSize:
		return bulkTest
	default:
		return echoTest
	}
}

func testOfFanout(c fanoutCell) string {
	if c.Rate > 0 {
		return paceTest
	}
	return fanoutTest
}

// observation is what one load on one contender comes to, whatever the load was.
type observation struct {
	test      string
	cell      string
	contender string
	round     int

	perSecond float64 // round trips, deliveries or lives
	payload   float64 // bytes/s in one direction
	latency   load.Latency
	lateP99   time.Duration // by how much the load missed the moment, at a fixed rate
	offered   float64       // messages/s at a fixed rate, else 0

	operations int64 // round trips, deliveries or lives that used is for
	used       used
	verified   int64 // bytes
}

// value is what contenders are compared by: latency at a fixed rate, else throughput.
func (o observation) value() float64 {
	if o.offered > 0 {
		return float64(o.latency.P99)
	}
	return o.perSecond
}

// each divides what was used by the number of operations.
func (o observation) each(used int64) float64 {
	if o.operations == 0 {
		return 0
	}
	return float64(used) / float64(o.operations)
}

// cpu is the server's processor time per operation, in nanoseconds.
func (o observation) cpu() float64 { return o.each(int64(o.used.CPU)) }

func (s sample) observe() observation {
	return observation{
		test: testOfEcho(s.Cell), cell: s.Cell.String(), contender: s.Contender, round: s.Round,
		perSecond: s.RoundTripsPerSecond, payload: s.RoundTripsPerSecond * float64(s.Cell.Size),
		latency: load.Latency{P50: s.P50, P90: s.P90, P99: s.P99, P999: s.P999, Max: s.Max},
		lateP99: s.LateP99, offered: float64(s.Cell.Rate),
		operations: s.Messages, used: s.used, verified: s.Verified,
	}
}

func (s churnSample) observe() observation {
	return observation{
		test: churnTest, cell: s.Churn.String(), contender: s.Contender, round: s.Round,
		perSecond: s.Result.LivesPerSecond, payload: s.Result.LivesPerSecond * float64(s.Churn.Size),
		latency: s.Result.Life, operations: s.Result.Lives, used: s.used, verified: s.Result.Verified,
	}
}

func (s fanoutSample) observe() observation {
	o := observation{
		test: testOfFanout(s.Cell), cell: s.Cell.String(), contender: s.Contender, round: s.Round,
		perSecond: s.Result.DeliveriesPerSecond, payload: s.Result.DeliveriesPerSecond * float64(s.Cell.Size),
		latency: s.Result.Last, operations: s.Result.Deliveries, used: s.used, verified: s.Result.Verified,
	}
	if s.Cell.Rate > 0 {
		o.latency, o.lateP99, o.offered = s.Result.Each, s.Result.Late.P99, float64(s.Cell.Rate)
	}
	return o
}
