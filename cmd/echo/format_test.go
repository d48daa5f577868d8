package main

import (
	"math"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 3 << 30: "3.0 GiB", math.MaxUint64: "16.0 EiB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := formatCount(n); got != want {
			t.Errorf("formatCount(%d) is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1499: "1µs", 916_400: "916µs", 6_214_000: "6.21ms", 47_040_000: "47ms", 1_234_000_000: "1.23s",
	} {
		if got := formatLatency(d); got != want {
			t.Errorf("formatLatency(%d) is %q, want %q", d, got, want)
		}
	}
}
