package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report writes the tables. The engine has ended, so its counters are final.
func (d *demo) report(out io.Writer) {
	d.reportRoundTrips(out)
	d.reportRest(out)
	if d.affordable(idleMany) < idleMany {
		fmt.Fprintf(out, "\nOnly %d files may be open here, so there were fewer connections; see echo doctor.\n", d.files)
	}
}

func (d *demo) reportRoundTrips(out io.Writer) {
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tround trips/s\tp50\tp99\tp99.9\tMiB/s\t")
	for _, r := range d.rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%.1f\t\n", r.name, formatCount(uint64(r.RoundTripsPerSecond)),
			formatLatency(r.Latency.P50), formatLatency(r.Latency.P99), formatLatency(r.Latency.P999),
			float64(r.Bytes)/r.Duration.Seconds()/(1<<20))
	}
	_ = table.Flush() // nobody is told if standard output is gone
}

func (d *demo) reportRest(out io.Writer) {
	st, idle := d.engine.Stats(), d.idle
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "bytes verified\t%s, each compared with what was sent\n", formatBytes(d.verified))
	fmt.Fprintf(table, "one message to %d sessions\t%s deliveries/s; p99 %s until the last has it\n", d.affordable(fanoutFew),
		formatCount(uint64(d.fan.DeliveriesPerSecond)), formatLatency(d.fan.Last.P99))
	fmt.Fprintf(table, "memory per idle session\t%s\n", idle.memory())
	fmt.Fprintf(table, "new connection meanwhile\t%s to connect and echo\n", formatLatency(idle.probe))
	fmt.Fprintf(table, "sessions closed\t%s\n", closedBy(st))
	fmt.Fprintf(table, "left behind\t%d sessions, %d B of buffers\n", st.Sessions, st.Memory.Buffers.InUse)
	_ = table.Flush()
}

// memory puts the slope into words.
func (r idleResult) memory() string {
	if r.many-r.few < idleTelling {
		return fmt.Sprintf("cannot be told from %d sessions", r.many)
	}
	resident := ""
	if r.resident != 0 {
		resident = fmt.Sprintf(", %d B resident", r.resident)
	}
	return fmt.Sprintf("%d B of heap in use%s (slope from %s to %s, garbage collected)",
		r.heap, resident, formatCount(uint64(r.few)), formatCount(uint64(r.many)))
}
