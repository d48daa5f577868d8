package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// testSection is a test with a group for each cell.
func (r *results) testSection(test string) page.Section {
	t := textOf(test)
	s := page.Section{ID: test, Title: t.title, Text: []string{t.does}, Says: t.says, SaysNot: t.saysNot}
	for _, cell := range r.cells(test) {
		s.Groups = append(s.Groups, r.cellGroup(r.field(test, cell)))
	}
	if test == fanoutTest && len(r.memories) > 0 {
		s.Groups = append(s.Groups, r.fanoutMemoryGroup())
	}
	return s
}

func (r *results) cellGroup(f field) page.Group {
	all := r.summarize(f.test, f.cell)
	g := page.Group{Title: f.cell, Text: describeCell(f.test, f.cell) + "."}
	if o := f.rounds[f.names[0]][0]; o.offered > 0 {
		g.Text += fmt.Sprintf(" Due: %s messages/s.", countText(o.offered))
	} else {
		g.Charts = append(g.Charts, throughputChart(f, all))
	}
	g.Charts = append(g.Charts, latencyChart(f, all), processorChart(f, all))
	g.Tables = append(g.Tables, r.measuredTable(f, all).WithoutEmpty(), ratioTable(f).WithoutEmpty())
	if t := r.callsTable(f); len(t.Rows) > 0 {
		g.Detail = append(g.Detail, t)
	}
	if n := roundsText(all); n != "" {
		g.Notes = append(g.Notes, n)
	}
	return g
}

// roundsText says how many rounds there were, and whether somebody missed some.
func roundsText(all []summary) string {
	least, most := all[0].Rounds, all[0].Rounds
	for _, s := range all {
		least, most = min(least, s.Rounds), max(most, s.Rounds)
	}
	if least != most {
		return fmt.Sprintf("%d to %d rounds.", least, most)
	}
	return counted(most, "round") + "."
}

func throughputChart(f field, all []summary) page.Chart {
	c := page.Strip{Title: textOf(f.test).operations + " a second", Label: countText, Tick: axisCount, Note: "dots: rounds; line: median; band: its 95 % interval"}
	if f.test == bulkTest {
		c.Title, c.Label = "payload a second, in each direction", payloadText
		c.Tick = axisPayload
	}
	for _, s := range all {
		row := page.StripRow{
			Label: labelOf(f.test, s.Contender), Kind: kindOf(f.test, s.Contender),
			Middle: s.PerSecond, Low: s.Range.Low, High: s.Range.High,
		}
		each := 1.0
		if f.test == bulkTest && s.PerSecond > 0 {
			each = s.Payload / s.PerSecond // bytes of a message
		}
		row.Middle, row.Low, row.High = row.Middle*each, row.Low*each, row.High*each
		for _, o := range f.rounds[s.Contender] {
			row.Values = append(row.Values, o.perSecond*each)
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// processorChart is what an operation costs the server.
func processorChart(f field, all []summary) page.Chart {
	c := page.Strip{Title: "server CPU per " + textOf(f.test).operation, Label: nanosecondsText, Tick: axisDuration, Note: "less is better; dots: rounds; line: median"}
	for _, s := range all {
		row := page.StripRow{Label: labelOf(f.test, s.Contender), Kind: kindOf(f.test, s.Contender)}
		for _, o := range f.rounds[s.Contender] {
			row.Values = append(row.Values, o.cpu())
		}
		row.Middle, row.Low, row.High = s.CPU, bootstrap(row.Values).Low, bootstrap(row.Values).High
		c.Rows = append(c.Rows, row)
	}
	return c
}

func payloadText(bytesPerSecond float64) string {
	if bytesPerSecond >= 1e9 {
		return fmt.Sprintf("%.2f GB/s", bytesPerSecond/1e9)
	}
	return fmt.Sprintf("%.0f MB/s", bytesPerSecond/1e6)
}

// axisPayload is short, for ticks.
func axisPayload(bytesPerSecond float64) string { return fmt.Sprintf("%.4g GB/s", bytesPerSecond/1e9) }

func latencyChart(f field, all []summary) page.Chart {
	c := page.Ladder{Title: "latency: p50, p90, p99, p99.9", Label: axisDuration, Note: "medians over the rounds; on the right: p99"}
	switch {
	case f.test == churnTest:
		c.Title = "a whole life: p50, p90, p99, p99.9"
	case f.test == fanoutTest:
		c.Title = "until the last has it: p50, p90, p99, p99.9"
	}
	for _, s := range all {
		row := page.LadderRow{Label: labelOf(f.test, s.Contender), Kind: kindOf(f.test, s.Contender), Value: durationText(s.P99)}
		for _, m := range []struct {
			name   string
			value  time.Duration
			hollow bool
		}{{"p50", s.P50, true}, {"p90", s.P90, true}, {"p99", s.P99, false}, {"p99.9", s.P999, true}} {
			if m.value > 0 { // some were not kept in older results
				row.Marks = append(row.Marks, page.Mark{Name: m.name, Value: float64(m.value), Hollow: m.hollow})
			}
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// axisDuration is short, for ticks.
func axisDuration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.4g ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.4g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.4g ms", ns/1e6)
	default:
		return fmt.Sprintf("%.4g s", ns/1e9)
	}
}

// measuredTable has what was measured, medians over the rounds.
func (r *results) measuredTable(f field, all []summary) page.Table {
	operation, operations := textOf(f.test).operation, textOf(f.test).operations
	t := page.Table{
		Caption: "Measured, medians over the rounds",
		Head:    []string{"", operations + "/s", "p50", "p99", "p99.9", "late p99", "CPU per " + operation, "system calls per " + operation, "allocations per " + operation, "resident memory"},
	}
	offered := all[0].Offered > 0
	if !offered {
		t.Head = slices.Delete(t.Head, 5, 6)
	}
	for _, s := range all {
		cells := []page.Cell{
			{Text: countText(s.PerSecond), Small: countText(s.Range.Low) + "–" + countText(s.Range.High)},
			{Text: durationText(s.P50)}, {Text: durationText(s.P99)}, {Text: durationText(s.P999)},
		}
		if offered {
			cells = append(cells, page.Cell{Text: durationText(s.LateP99)})
		}
		cells = append(cells, page.Cell{Text: nanosecondsText(s.CPU)}, r.callsCell(s), page.Cell{Text: allocsText(s)}, page.Cell{Text: residentText(s)})
		t.Rows = append(t.Rows, page.Row{Label: labelOf(f.test, s.Contender), Kind: kindOf(f.test, s.Contender), Cells: cells})
	}
	return t
}

func (r *results) callsCell(s summary) page.Cell {
	l, ok := r.callsOf(s.Test, s.Cell, s.Contender)
	if !ok {
		return page.Cell{Text: "–"}
	}
	return page.Cell{Text: fmt.Sprintf("%.2f", l.perOperation())}
}

func (r *results) callsOf(test, cell, contender string) (callsLine, bool) {
	i := slices.IndexFunc(r.calls, func(l callsLine) bool {
		return l.Test == test && l.Cell == cell && l.Contender == contender
	})
	if i < 0 {
		return callsLine{}, false
	}
	return r.calls[i], true
}

// columnsOfCalls are as many as fit.
const columnsOfCalls = 10

// callsTable has the system calls by name, those first that are made most.
func (r *results) callsTable(f field) page.Table {
	sums := map[string]float64{}
	tools := map[string]bool{}
	for _, name := range f.names {
		l, _ := r.callsOf(f.test, f.cell, name)
		for call, n := range l.Calls {
			sums[call] += float64(n) / float64(max(l.Operations, 1))
			tools[l.Tool] = true
		}
	}
	calls := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), strings.Compare(a, b))
	})
	which := ""
	if len(calls) > columnsOfCalls {
		which = fmt.Sprintf("; the %d that are made most", columnsOfCalls)
		calls = calls[:columnsOfCalls]
	}
	t := page.Table{Head: append([]string{""}, calls...)}
	t.Caption = fmt.Sprintf("System calls per %s, counted by %s in a load of their own%s", textOf(f.test).operation, joined(tools), which)
	for _, name := range f.names {
		l, ok := r.callsOf(f.test, f.cell, name)
		if !ok {
			continue
		}
		row := page.Row{Label: labelOf(f.test, name), Kind: kindOf(f.test, name)}
		for _, call := range calls {
			text := "0"
			switch each := float64(l.Calls[call]) / float64(max(l.Operations, 1)); {
			case each >= 0.0005:
				text = fmt.Sprintf("%.3f", each)
			case each > 0:
				text = "< 0.001"
			}
			row.Cells = append(row.Cells, page.Cell{Text: text})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func joined(set map[string]bool) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if text != "" {
			text += " and "
		}
		text += name
	}
	return text
}

// ratioTable compares within rounds: each contender with the floor, and weir's modes with
// each contender.
func ratioTable(f field) page.Table {
	t := page.Table{Caption: "Ratios within rounds: median, 95 % interval. Green: the interval shows that the first is better than the second; red: worse", Head: []string{""}}
	type column struct {
		a           aspect
		first       func(name string) (x, y string)
		head        string
		onlyAgainst func(name string) bool
	}
	base := f.names[0]
	aspects := []aspect{throughput, tail, processor}
	if f.rounds[base][0].offered > 0 {
		aspects = []aspect{tail, farTail, processor}
	}
	var columns []column
	for _, a := range aspects {
		columns = append(columns, column{a, func(n string) (string, string) { return n, base }, a.name + " to " + labelOf(f.test, base), func(n string) bool { return n != base }})
	}
	for _, ours := range ourModes(f.test) {
		if len(f.rounds[ours]) == 0 || ours == base {
			continue
		}
		for _, a := range aspects {
			columns = append(columns, column{a, func(n string) (string, string) { return ours, n }, labelOf(f.test, ours) + " to it: " + a.name, func(n string) bool { return !isOurs(n) && n != base && n != base+again }})
		}
	}
	for _, c := range columns {
		t.Head = append(t.Head, c.head)
	}
	for _, name := range f.names {
		row := page.Row{Label: labelOf(f.test, name), Kind: kindOf(f.test, name)}
		for _, c := range columns {
			if !c.onlyAgainst(name) {
				row.Cells = append(row.Cells, page.Cell{})
				continue
			}
			x, y := c.first(name)
			row.Cells = append(row.Cells, ratioCell(f.ratio(x, y, c.a), c.a.less))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func ratioCell(r ratio, less bool) page.Cell {
	if r == (ratio{}) {
		return page.Cell{Text: "–"}
	}
	return page.Cell{
		Text: timesText(r.Median), Small: timesText(r.Range.Low) + "–" + timesText(r.Range.High), Verdict: verdict(r, less),
	}
}
