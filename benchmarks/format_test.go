package main

import (
	"testing"
	"time"
)

func TestDurationText(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "–"}, {3490, "3.49 µs"}, {9_996, "10.0 µs"}, {99_960, "100 µs"}, {999_499, "999 µs"}, {999_500, "1.00 ms"},
		{4_186_111, "4.19 ms"}, {16_663_000, "16.7 ms"}, {999_600_000, "1.00 s"}, {12 * time.Second, "12.0 s"},
	} {
		if got := durationText(test.d); got != test.want {
			t.Errorf("%d ns: %q, want %q", test.d, got, test.want)
		}
	}
}

func TestAxisCount(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 5000: "5000", 20_000: "20 k", 300_000: "300 k", 1e7: "10 M", 2.5e6: "2.5 M"} {
		if got := axisCount(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
