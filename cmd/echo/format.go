package main

import (
	"fmt"
	"strconv"
	"time"
)

// formatBytes writes a size with a unit: 960 B, 4.0 KiB, 1.2 GiB.
func formatBytes(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1023.95 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

const units = "KMGTPE"

// formatCount writes a number with commas between thousands.
func formatCount(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatLatency rounds to a microsecond, or to three digits if that is coarser.
func formatLatency(d time.Duration) string {
	grain := time.Microsecond
	for d >= 1000*grain {
		grain *= 10
	}
	return d.Round(grain).String()
}
