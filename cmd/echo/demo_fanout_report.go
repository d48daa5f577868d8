package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/weirnet/weir/internal/load"
)

// report writes the tables. The engine has ended.
func (f *fanout) report(out io.Writer) {
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%s × %s\tdeliveries/s\tp50\tp99\tp99.9\t\n", formatCount(uint64(f.subscribers)), sizeName(fanoutSize))
	line := func(name, rate string, l load.Latency) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\n", name, rate, formatLatency(l.P50), formatLatency(l.P99), formatLatency(l.P999))
	}
	perSecond := func(r load.FanResult) string { return formatCount(uint64(r.DeliveriesPerSecond)) }
	paced := fmt.Sprintf("%s messages/s", formatCount(uint64(fanoutRate(f.subscribers))))
	line(fmt.Sprintf("%d under way, until the last has it", fanoutWindow), perSecond(f.window), f.window.Last)
	line(paced+", until the last has it", perSecond(f.paced), f.paced.Last)
	line(paced+", until each has it", perSecond(f.paced), f.paced.Each)
	line("of both, the load's own delay", "", f.paced.Late)
	_ = table.Flush() // nobody is told if standard output is gone
	f.reportStuck(out)
	f.reportEnd(out)
}

// reportStuck tells what the policies did.
func (f *fanout) reportStuck(out io.Writer) {
	fmt.Fprintf(out, "\nOne more that does not read (%s × %s, %s messages/s after a burst; behind by %s at most):\n\n",
		formatCount(uint64(f.subscribers)), sizeName(stuckSize), formatCount(uint64(fanoutRate(f.subscribers))), sizeName(fanoutQueue))
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tthe others' p50\tp99\tp99.9\tsent\tit: delivered\tdropped\tunsent\tclosed\t")
	for _, r := range f.stuck {
		l := r.others.Each
		others := fmt.Sprintf("%s\t%s\t%s\t%s", formatLatency(l.P50), formatLatency(l.P99), formatLatency(l.P999), formatCount(uint64(r.others.Sent)))
		if r.policy == "" {
			fmt.Fprintf(table, "all read\t%s\t\t\t\t\t\n", others)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t\n", r.policy, others,
			formatCount(uint64(r.delivered)), formatCount(r.group.Dropped), formatCount(r.group.Unsent), r.group.Closed)
	}
	_ = table.Flush()
}

func (f *fanout) reportEnd(out io.Writer) {
	st := f.engine.Stats()
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "bytes verified\t%s, each compared with what was sent\n", formatBytes(f.verified))
	fmt.Fprintf(table, "sessions closed\t%s\n", closedBy(st))
	fmt.Fprintf(table, "left behind\t%d sessions, %d B of buffers\n", st.Sessions, st.Memory.Buffers.InUse)
	_ = table.Flush()
}
