//go:build linux

package main

import (
	"reflect"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{[]time.Duration{1, 2, 3}, 99, 3},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{append(hundred, 101), 99, 100},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile %d of %d samples is %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestSum(t *testing.T) {
	if got := sum(nil); got != (latency{}) {
		t.Errorf("%+v of nothing", got)
	}
	got := sum([]time.Duration{30, 10, 20})
	if want := (latency{Count: 3, P50: 20, P99: 30, Worst: 30}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A client that waits for a second counts as one that was sent to in each interval.
func TestDueCountsWhatWasNotSent(t *testing.T) {
	began := time.Unix(100, 0)
	got := due([]time.Duration{1}, began, began.Add(35), 10)
	if want := []time.Duration{1, 35, 25, 15, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := due(nil, began, began.Add(9), 10); !reflect.DeepEqual(got, []time.Duration{9}) {
		t.Errorf("%v of a quick one", got)
	}
}
