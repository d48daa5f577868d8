package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a load saw. Durations are nanoseconds in JSON.
type Result struct {
	Connections int `json:"connections"`
	MessageSize int `json:"message_size"`
	Depth       int `json:"depth"`

	Rate float64 `json:"rate,omitempty"` // 0: a closed loop

	// Messages came back within the measured time, Duration; Bytes is their
	// size, in one direction.
	Messages            int64         `json:"messages"`
	Bytes               int64         `json:"bytes"`
	Duration            time.Duration `json:"duration_ns"`
	RoundTripsPerSecond float64       `json:"round_trips_per_second"`

	// Latency is the time from the send of a message to the arrival of its last
	// byte, of all Messages. Time spent in the sender's own queue counts. At a fixed
	// rate it begins when a message was due, of all that were due in the measured time
	// and have come back; Late is by how much the load itself missed that moment, which
	// is part of it.
	Latency Latency `json:"latency"`
	Late    Latency `json:"late,omitzero"`

	// Verified bytes were compared with what had been sent, and equal; those of
	// the warm-up and of the end included.
	Verified int64 `json:"verified_bytes"`

	// Unanswered messages had not come back when the run ended. (Not counted
	// when the context ended it.)
	Unanswered int64 `json:"unanswered,omitempty"`

	// Errors says what went wrong on connections, the first few in words.
	Errors     []string `json:"errors,omitempty"`
	ErrorCount int      `json:"error_count,omitempty"`
}

// Latency holds the percentiles of a run, to three digits.
type Latency struct {
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p99_9_ns"`
	Max  time.Duration `json:"max_ns"`
}

// Err is nil if every connection stayed open and every message that was sent came
// back as it was.
func (r Result) Err() error {
	if r.ErrorCount == 0 {
		return nil
	}
	if r.ErrorCount == 1 {
		return errors.New(r.Errors[0])
	}
	return fmt.Errorf("%s (and %d more)", r.Errors[0], r.ErrorCount-1)
}

// Progress tells how far a run is.
type Progress struct {
	Phase    Phase         `json:"phase"`
	Messages int64         `json:"messages"`   // since the run began, warm-up included
	Elapsed  time.Duration `json:"elapsed_ns"` // since the phase began
}

// Phase is a part of a run.
type Phase string

// The phases, in order.
const (
	WarmingUp Phase = "warm-up"
	Measuring Phase = "measuring"
	Finishing Phase = "finishing" // nothing new is sent; late echoes are awaited
)

// histogram collects latencies from a microsecond to a minute. What lies outside
// is counted at the nearest end.
type histogram struct {
	h *hdrhistogram.Histogram
}

const (
	latencyMin = time.Microsecond
	latencyMax = time.Minute
)

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, int64(latencyMax), 3)} // nanoseconds, three digits
}

// record counts n messages of one latency.
func (h histogram) record(latency time.Duration, n int64) {
	within := min(max(latency, latencyMin), latencyMax)
	if err := h.h.RecordValues(int64(within), n); err != nil {
		panic("load: a latency within bounds was refused: " + err.Error())
	}
}

func (h histogram) latency() Latency {
	at := func(percentile float64) time.Duration {
		return min(time.Duration(h.h.ValueAtPercentile(percentile)), latencyMax)
	}
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: at(100)}
}
