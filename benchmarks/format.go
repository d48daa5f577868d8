package main

import (
	"fmt"
	"time"
)

func ratioText(r float64) string {
	if r == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", r)
}

// timesText is a ratio for readers: two decimals where it is near one, three digits else.
func timesText(r float64) string {
	switch {
	case r >= 99.5:
		return fmt.Sprintf("%.0f", r)
	case r >= 9.995:
		return fmt.Sprintf("%.1f", r)
	default:
		return fmt.Sprintf("%.2f", r)
	}
}

func rangeText(r interval) string {
	if r == (interval{}) {
		return "–"
	}
	return fmt.Sprintf("%.3f–%.3f", r.Low, r.High)
}

// String is the median and the interval, as two columns.
func (r ratio) String() string { return ratioText(r.Median) + "\t" + rangeText(r.Range) }

// shortDuration keeps a few digits, for progress.
func shortDuration(d time.Duration) time.Duration {
	switch {
	case d < 100*time.Microsecond:
		return d.Round(100 * time.Nanosecond)
	case d < 100*time.Millisecond:
		return d.Round(time.Microsecond)
	default:
		return d.Round(time.Millisecond)
	}
}

// durationText keeps three digits.
func durationText(d time.Duration) string {
	ns := float64(d)
	switch {
	case d == 0:
		return "–"
	case ns < 999.5e3:
		return threeDigits(ns/1e3) + " µs"
	case ns < 999.5e6:
		return threeDigits(ns/1e6) + " ms"
	default:
		return threeDigits(ns/1e9) + " s"
	}
}

func threeDigits(x float64) string {
	switch {
	case x < 9.995:
		return fmt.Sprintf("%.2f", x)
	case x < 99.95:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.0f", x)
	}
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// countText keeps three digits or so.
func countText(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", n/1e6)
	case n >= 1e5:
		return fmt.Sprintf("%.0f k", n/1e3)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", n/1e3)
	default:
		return fmt.Sprintf("%.0f", n)
	}
}

// axisCount is short, for ticks.
func axisCount(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.4g M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.4g k", n/1e3)
	default:
		return fmt.Sprintf("%.4g", n)
	}
}

// nanosecondsText is for processor time per operation.
func nanosecondsText(ns float64) string {
	switch {
	case ns == 0:
		return "–"
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	default:
		return threeDigits(ns/1e3) + " µs"
	}
}
