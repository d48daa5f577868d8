package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weirnet/weir/engine"
)

// writeFinal tells what the server did, how its sessions closed and what was lost, when
// it has ended:
//
//	echo: 12 sessions, 3.1 MiB in, 2.9 MiB out
//
//	closed because            sessions
//	peer_closed                     11
//	shutdown                         1
//
//	aborted at the deadline          1   sessions that had not closed in time
//	unsent                   192.0 KiB   queued for clients that did not read it
//	unhandled                      0 B   received and not handled
func writeFinal(out io.Writer, st engine.Stats) {
	fmt.Fprintf(out, "echo: %s sessions, %s in, %s out\n\n", formatCount(st.Opened), formatBytes(st.BytesIn), formatBytes(st.BytesOut))
	rows := []finalRow{{"closed because", "sessions", ""}}
	for _, reason := range closeReasons(st) {
		rows = append(rows, finalRow{reason, formatCount(st.Closed[reason]), ""})
	}
	if len(rows) == 1 {
		rows = append(rows, finalRow{"none", formatCount(0), ""})
	}
	rows = append(rows, finalRow{},
		finalRow{"aborted at the deadline", formatCount(st.Aborted), "sessions that had not closed in time"},
		finalRow{"unsent", formatBytes(st.Unsent), "queued for clients that did not read it"},
		finalRow{"unhandled", formatBytes(st.Unhandled), "received and not handled"})
	if n := st.BlockedHandlers + st.BlockedLoops; n > 0 {
		rows = append(rows, finalRow{"blocked", formatCount(n), "times a handler or loop was stuck"})
	}
	writeRows(out, rows)
}

// finalRow is a line of the table: what, how much, and what that means.
type finalRow struct{ what, amount, meaning string }

// writeRows aligns them, over empty ones, too.
func writeRows(out io.Writer, rows []finalRow) {
	what, amount := 0, 0
	for _, r := range rows {
		what, amount = max(what, len(r.what)), max(amount, len(r.amount))
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s   %*s   %s", what, r.what, amount, r.amount, r.meaning)
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

// closedBy lists the reasons for which sessions closed in one line.
func closedBy(st engine.Stats) string {
	var parts []string
	for _, reason := range closeReasons(st) {
		parts = append(parts, reason+" "+formatCount(st.Closed[reason]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// closeReasons are those for which sessions closed, the most frequent first.
func closeReasons(st engine.Stats) []string {
	reasons := make([]string, 0, len(st.Closed))
	for reason, n := range st.Closed {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if st.Closed[a] != st.Closed[b] {
			return int(st.Closed[b]) - int(st.Closed[a])
		}
		return strings.Compare(a, b)
	})
	return reasons
}
