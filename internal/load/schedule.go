package load

import "time"

// schedule is when the messages of a fixed rate are due: at even intervals, on a
// driver's clock. A latency counts from there, however late the message was sent, so that
// a server that stands still pays for all that became due meanwhile.
type schedule struct {
	beganAt  int64
	interval float64 // nanoseconds; 0: there is no fixed rate
	next     int64   // number of the next message
}

// open begins anew, with perSecond messages a second from now on; 0 is no fixed rate.
func (s *schedule) open(now int64, perSecond float64) {
	*s = schedule{beganAt: now}
	if perSecond > 0 {
		s.interval = float64(time.Second) / perSecond
	}
}

// at is when message k is due.
func (s *schedule) at(k int64) int64 { return s.beganAt + int64(float64(k)*s.interval) }

// due says whether the next message is due before until.
func (s *schedule) due(until int64) bool { return s.interval > 0 && s.at(s.next) < until }

// rateMax is the highest rate, in messages/s: the clock's grain.
const rateMax = float64(time.Second)
