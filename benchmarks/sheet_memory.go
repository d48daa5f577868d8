package main

import (
	"fmt"
	"slices"

	"github.com/weirnet/weir/benchmarks/internal/page"
	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// idleSection is what silent connections cost.
func (r *results) idleSection() page.Section {
	t := textOf(idleTest)
	s := page.Section{ID: idleTest, Title: t.title, Text: []string{t.does}, Says: t.says, SaysNot: t.saysNot}
	all := r.idleSummaries()
	var charts []page.Chart
	for _, forced := range []bool{true, false} {
		c := page.Strip{Title: "resident bytes per idle connection, " + forcedText(forced), Label: countText, Tick: axisCount}
		for _, i := range all {
			if i.Forced == forced {
				c.Rows = append(c.Rows, page.StripRow{Label: labelOf(idleTest, i.Contender), Kind: kindOf(idleTest, i.Contender), Middle: i.Resident})
			}
		}
		if len(c.Rows) > 0 {
			charts = append(charts, c)
		}
	}
	table := page.Table{
		Caption: "Bytes for one more connection: slope over all steps",
		Head:    []string{"", "collection", "resident", "heap in use", "live heap", "stacks", "a new connection, beside the most"},
	}
	for _, i := range all {
		cells := []page.Cell{{Text: forcedText(i.Forced)}, {Text: fmt.Sprintf("%.0f", i.Resident)}}
		for _, bytes := range []float64{i.HeapInuse, i.HeapAlloc, i.Stacks} {
			cells = append(cells, page.Cell{Text: i.goMemory(bytes)})
		}
		cells = append(cells, page.Cell{Text: durationText(i.Probe)})
		table.Rows = append(table.Rows, page.Row{Label: labelOf(idleTest, i.Contender), Kind: kindOf(idleTest, i.Contender), Cells: cells})
	}
	s.Groups = append(s.Groups, page.Group{Text: r.idleSteps(), Charts: charts, Tables: []page.Table{table}})
	return s
}

// idleSummaries are the slopes, in the order of the samples.
func (r *results) idleSummaries() []idleSummary {
	type key struct {
		contender string
		forced    bool
	}
	var keys []key
	by := map[key][]idleSample{}
	for _, s := range r.idle {
		k := key{s.Contender, s.Forced}
		if by[k] == nil {
			keys = append(keys, k)
		}
		by[k] = append(by[k], s)
	}
	var all []idleSummary
	for _, k := range keys {
		s := summarizeIdle(by[k])
		if i := slices.IndexFunc(r.probes, func(p idleSummary) bool { return p.Contender == k.contender && p.Forced == k.forced }); i >= 0 {
			s.Probe = r.probes[i].Probe
		}
		all = append(all, s)
	}
	return all
}

// idleSteps says at what numbers of connections memory was read.
func (r *results) idleSteps() string {
	var steps []int
	for _, s := range r.idle {
		if !slices.Contains(steps, s.Connections) {
			steps = append(steps, s.Connections)
		}
	}
	slices.Sort(steps)
	return fmt.Sprintf("Read at %d to %d connections, in %s.", steps[0], steps[len(steps)-1], counted(len(steps), "step"))
}

// fanoutMemoryGroup is what the subscribers of a fan-out have cost.
func (r *results) fanoutMemoryGroup() page.Group {
	t := page.Table{
		Caption: "Bytes of server memory per subscriber, after all loads and above what the server began with",
		Head:    []string{"", "subscribers", "message", "resident, unforced", "resident, forced", "live heap"},
	}
	for _, m := range r.memories {
		per := func(after serving.Memory, bytes func(serving.Memory) int64) page.Cell {
			return page.Cell{Text: fmt.Sprintf("%.0f", float64(bytes(after)-bytes(m.Before))/float64(m.Scene.Subscribers))}
		}
		resident := func(m serving.Memory) int64 { return m.Resident }
		t.Rows = append(t.Rows, page.Row{Label: labelOf(fanoutTest, m.Contender), Kind: kindOf(fanoutTest, m.Contender), Cells: []page.Cell{
			{Text: fmt.Sprint(m.Scene.Subscribers)}, {Text: sizeText(m.Scene.Size)}, per(m.Unforced, resident), per(m.Forced, resident),
			per(m.Forced, func(m serving.Memory) int64 { return m.HeapAlloc }),
		}})
	}
	return page.Group{Title: "Memory", Text: "Below 1000 subscribers it is mostly buffers that do not grow with them.", Tables: []page.Table{t}}
}

// stuckSection is what one stopped subscriber costs the others.
func (r *results) stuckSection() page.Section {
	s := page.Section{
		ID: "stuck", Title: "One stopped subscriber",
		Text:    []string{"One subscriber is stopped by a signal, after its buffers have been filled. p99 of the others is compared with the same round while it reads; the noise is the same comparison while it reads both times."},
		Says:    "Whether one that does not read delays the others, and what becomes of it.",
		SaysNot: "What a server does with many of them.",
	}
	t := page.Table{Head: []string{"", "cell", "p99, all reading", "p99, one stopped", "ratio", "noise", "rounds", "the stopped one"}}
	for _, x := range summarizeStuck(r.stuck) {
		t.Rows = append(t.Rows, page.Row{Label: labelOf(paceTest, x.Contender), Kind: kindOf(paceTest, x.Contender), Cells: []page.Cell{
			{Text: x.Cell.String()}, {Text: durationText(x.Reading)}, {Text: durationText(x.Stopped)}, ratioCell(x.Ratio, true), ratioCell(x.Noise, true),
			{Text: fmt.Sprint(x.Rounds)}, {Text: fatesText(x.Fates)},
		}})
	}
	s.Groups = append(s.Groups, page.Group{Tables: []page.Table{t}})
	return s
}
