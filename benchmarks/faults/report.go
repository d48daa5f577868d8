//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// printResult writes all about one result.
func printResult(w io.Writer, r result) {
	fmt.Fprintf(w, "%d %s, %s: %s\n", r.Row, r.Fault, r.Server, r.Verdict)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "    %-9s %s\n", name, text)
		}
	}
	if r.Verdict != doesNotApply {
		line("injected", r.How)
		line("required", r.Required)
		line("seen", strings.Join(r.Seen, "; "))
		line("healthy", r.health())
		line("at base", r.settled())
	}
	line("why", r.Why)
	fmt.Fprintln(w)
}

// health is what the healthy clients felt, empty if there were none.
func (r result) health() string {
	if r.Before.Count == 0 {
		return ""
	}
	text := fmt.Sprintf("p99 %v → %v, slowest %v → %v", round(r.Before.P99), round(r.During.P99),
		round(r.Before.Worst), round(r.During.Worst))
	if r.Broken > 0 {
		text += fmt.Sprintf(", %d of %d lost their connection", r.Broken, r.Clients)
	}
	return text
}

// settled tells what was used, and whether that came back.
func (r result) settled() string {
	if r.Base.Descriptors == 0 {
		return ""
	}
	if !r.Back {
		return "no: " + r.usage()
	}
	return fmt.Sprintf("yes, after %v: %s", round(r.Settled), r.usage())
}

// printSummary writes a line for each fault and how many came to what.
func printSummary(w io.Writer, servers []string, results []result, took time.Duration) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "fault\t%s\n", strings.Join(servers, "\t"))
	for _, line := range matrix(servers, results) {
		fmt.Fprintf(t, "%s\t%s\n", line.fault, strings.Join(line.cells, "\t"))
	}
	_ = t.Flush() // the writer's own errors are the terminal's
	counts := map[verdict]int{}
	for _, r := range results {
		counts[r.Verdict]++
	}
	fmt.Fprintf(w, "\n%d met, %d not met, %d not promised, %d do not apply, %d cannot run here; %v\n",
		counts[met], counts[notMet], counts[notPromised], counts[doesNotApply], counts[cannotRun], took.Round(time.Second))
}

// row is a line of the side-by-side table.
type row struct {
	fault string
	cells []string // one for each server
}

// matrix puts the servers side by side.
func matrix(servers []string, results []result) (rows []row) {
	for _, r := range results {
		name := fmt.Sprintf("%d %s", r.Row, r.Fault)
		if len(rows) == 0 || rows[len(rows)-1].fault != name {
			rows = append(rows, row{fault: name, cells: make([]string, len(servers))})
		}
		for i, server := range servers {
			if server == r.Server {
				rows[len(rows)-1].cells[i] = r.cell()
			}
		}
	}
	return rows
}

// cell is a result in a few words.
func (r result) cell() string {
	if r.During.Count == 0 || r.Verdict == doesNotApply || r.Verdict == cannotRun {
		return string(r.Verdict)
	}
	return fmt.Sprintf("%s, %v → %v", r.Verdict, round(r.Before.P99), round(r.During.P99))
}

func writeJSON(path string, s setting, results []result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(f)
	err = lines.Encode(s)
	for _, r := range results {
		if err == nil {
			err = lines.Encode(r)
		}
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}
