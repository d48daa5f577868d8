package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The table of the benchmarks beside the code, from what `make bench-micro` printed: those
// that say most, with one, two and four processors.

// microRow is a line of that table.
type microRow struct {
	text      string
	benchmark string // its name, without Benchmark and the number of processors
	unit      string
}

func microRows() []microRow {
	return []microRow{
		{"Send by a goroutine, written at once", "Send/copied/framed=false", "ns/op"},
		{"SendOwned by a goroutine, written at once", "Send/owned/framed=false", "ns/op"},
		{"Send while somebody else writes: queued, p50", "SendWhileHeld/framed=false", "p50-ns"},
		{"the same, framed", "SendWhileHeld/framed=true", "p50-ns"},
		{"Send to one session from every processor", "SendShared", "ns/op"},
		{"Send by a handler, each of 16 messages, copied", "SendFromHandler/copy/messages=16", "ns/message"},
		{"the same, views of what it handles", "SendFromHandler/view/messages=16", "ns/message"},
		{"bytes that were read, to the handler: p50, inline", "Dispatch/framed=false", "p50-ns"},
		{"the same, framed", "Dispatch/framed=true", "p50-ns"},
		{"the same over a socket, lines, inline", "Dispatch/inline", "p50-ns"},
		{"the same over a socket, lines, pool", "Dispatch/pool", "p50-ns"},
		{"through a strand: a message, inline", "Strand/message/inline", "ns/op"},
		{"through a strand: a message, pool", "Strand/message/pool", "ns/op"},
		{"each of 100 frames in a read, length prefix, pool", "FramedReceive/pool/prefix/frames=100", "ns/frame"},
		{"cut a frame of 64 bytes: length prefix", "Cut/default/whole", "ns/op"},
		{"cut a frame of 64 bytes: line", "Cut/lines/whole", "ns/op"},
		{"find LF in 4 KiB, in a chain", "Index/chain/sep=1/text=4096", "ns/op"},
		{"the same, a plain loop over one slice", "Index/loop/sep=1/text=4096", "ns/op"},
		{"find CRLF in 4 KiB, in a chain", "Index/chain/sep=2/text=4096", "ns/op"},
		{"the same, a plain loop over one slice", "Index/loop/sep=2/text=4096", "ns/op"},
		{"take a segment of 4 KiB and give it back", "GetRelease/4096", "ns/op"},
		{"post to a loop from every processor", "MailboxPosters", "ns/op"},
		{"wake-ups for each of these posts", "MailboxPosters", "wakes/op"},
		{"a turn's only session to a worker and back", "RunQueue/sessions=1", "ns/session"},
		{"each of 32 sessions of a turn", "RunQueue/sessions=32", "ns/session"},
		{"set and clear one of 100,000 timers", "WheelSetClear", "ns/op"},
		{"a delivery to each of 100 members, one message a turn", "GroupSend/members=100/batch=1", "ns/delivery"},
		{"a delivery to each of 1000, 64 messages a turn", "GroupSend/members=1000/batch=64", "ns/delivery"},
		{"64 connections echo, one loop, inline", "Loops/inline/loops=one", "round-trips/s"},
		{"the same, a loop per processor", "Loops/inline/loops=per-processor", "round-trips/s"},
		{"the same, pool", "Loops/pool/loops=per-processor", "round-trips/s"},
		{"the same on package net", "Loops/net", "round-trips/s"},
	}
}

// microProcessors are the columns: -cpu of make bench-micro.
var microProcessors = []int{1, 2, 4}

// microCommand prints the table of a file.
func microCommand(args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("benchmarks micro", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() {
		fmt.Fprint(log, "Prints a table of what make bench-micro has printed.\n\n  go run . micro FILE.txt\n")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("micro: want one file, not %d", flags.NArg())
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	measured, err := readMicro(f)
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	writeMarkdown(out, microTable(measured))
	return nil
}

// figure is what one benchmark measures, with so many processors.
type figure struct {
	benchmark  string
	processors int
	unit       string
}

// readMicro reads the lines of Go's benchmarks; all others are passed over.
func readMicro(in io.Reader) (map[figure][]float64, error) {
	measured := map[figure][]float64{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		m := figure{strings.TrimPrefix(fields[0], "Benchmark"), 1, ""}
		if at := strings.LastIndexByte(m.benchmark, '-'); at >= 0 {
			if n, err := strconv.Atoi(m.benchmark[at+1:]); err == nil {
				m.benchmark, m.processors = m.benchmark[:at], n
			}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			m.unit = fields[i+1]
			measured[m] = append(measured[m], value)
		}
	}
	return measured, lines.Err()
}

// microTable has medians, with the least and the most of several runs.
func microTable(measured map[figure][]float64) [][]string {
	rows := [][]string{{"what"}}
	for _, n := range microProcessors {
		rows[0] = append(rows[0], counted(n, "processor"))
	}
	for _, r := range microRows() {
		row := []string{r.text}
		for _, n := range microProcessors {
			row = append(row, microText(measured[figure{r.benchmark, n, r.unit}], r.unit))
		}
		rows = append(rows, row)
	}
	return rows
}

func microText(xs []float64, unit string) string {
	if len(xs) == 0 {
		return "–"
	}
	text := func(x float64) string {
		switch {
		case unit == "round-trips/s":
			return countText(x) + "/s"
		case unit == "wakes/op":
			return fmt.Sprintf("%.4f", x)
		case x < 10:
			return fmt.Sprintf("%.1f ns", x)
		default:
			return nanosecondsText(x)
		}
	}
	if len(xs) == 1 {
		return text(xs[0])
	}
	least, most := xs[0], xs[0]
	for _, x := range xs {
		least, most = min(least, x), max(most, x)
	}
	return fmt.Sprintf("%s (%s–%s)", text(median(xs)), text(least), text(most))
}
