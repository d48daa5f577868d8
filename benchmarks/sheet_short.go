package main

import (
	"fmt"
	"slices"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// What a reader wants to know first: by how much weir is ahead or behind, test by test,
// and in how many cells. All of it follows from the same rounds as the cells below.

// question is one line of the summary.
type question struct {
	text  string
	field func(f field) bool // which cells it is about
	a     *aspect            // nil: what decides the test
	may   func(name string) bool
}

func isFloorItself(name string) bool { return name == "floor" }

// of are the cells of some tests.
func of(tests ...string) func(field) bool {
	return func(f field) bool { return slices.Contains(tests, f.test) }
}

// manyConnections are the closed loops with 10 to 1000 connections.
func manyConnections(f field) bool {
	c, err := parseCell(f.cell)
	return f.test == echoTest && err == nil && c.Connections >= 10 && c.Connections <= 1000
}

func questions() []question {
	return []question{
		{"Echo with 10 to 1000 connections: throughput, to the best Go rival", manyConnections, &throughput, isRival},
		{"Echo: server CPU per round trip, to the thriftiest Go rival", manyConnections, &processor, isRival},
		{"Echo: throughput, to bare loops", manyConnections, &throughput, isFloorItself},
		{"Echo at a fixed rate: p99, to the best Go rival", of(openTest), &tail, isRival},
		{"Echo at a fixed rate: p99.9, to the best Go rival", of(openTest), &farTail, isRival},
		{"Bulk: throughput, to the best Go rival", of(bulkTest), &throughput, isRival},
		{"Churn: lives a second, to the best Go rival", of(churnTest), &throughput, isRival},
		{"Fan-out: deliveries a second, to the best Go rival", of(fanoutTest), &throughput, isRival},
		{"Fan-out: deliveries a second, to bare loops", of(fanoutTest), &throughput, isFloorItself},
		{"Fan-out at a fixed rate: p99, to the best Go rival", of(paceTest), &tail, isRival},
	}
}

// tally is what the cells of a question come to.
type tally struct {
	mean                 float64 // geometric, of how much better weir is
	ahead, equal, behind int     // cells, by their intervals
}

func (t tally) cells() int { return t.ahead + t.equal + t.behind }

// add counts one cell.
func (t *tally) add(r ratio) {
	switch verdict(r, false) {
	case page.Better:
		t.ahead++
	case page.Worse:
		t.behind++
	case page.Same:
		t.equal++
	}
}

// answer compares one of our modes with the best of those that may.
func (q question) answer(fields []field, mode int) tally {
	var t tally
	var xs []float64
	for _, f := range fields {
		if !q.field(f) {
			continue
		}
		a := mainAspect(f.test)
		if q.a != nil {
			a = *q.a
		}
		x := f.advantage(ourModes(f.test)[mode], f.best(a, q.may), a)
		if x.Median > 0 {
			xs = append(xs, x.Median)
			t.add(x)
		}
	}
	t.mean = geometricMean(xs)
	return t
}

// short is the summary.
func (r *results) short() page.Section {
	s := page.Section{
		ID: "short", Title: "In short",
		Text: []string{
			"How many times better weir is: above 1 it is ahead, below 1 behind, whatever is compared. The geometric mean of the cells of a test, " +
				"and in how many of them the interval of the rounds lies wholly on one side. The best rival is chosen for each cell.",
		},
	}
	fields := r.fields()
	if t := r.shortTable(fields); len(t.Rows) > 0 {
		s.Groups = append(s.Groups, page.Group{Tables: []page.Table{t}})
	}
	if t := rivalTable(fields); len(t.Rows) > 0 {
		s.Groups = append(s.Groups, page.Group{Tables: []page.Table{t}})
	}
	return s
}

func (r *results) shortTable(fields []field) page.Table {
	t := page.Table{Head: []string{"", "weir pool", "weir inline"}}
	for _, q := range questions() {
		row := page.Row{Label: q.text}
		for mode := range modeNames {
			row.Cells = append(row.Cells, q.answer(fields, mode).cell())
		}
		t.Rows = append(t.Rows, row)
	}
	row := page.Row{Label: "Memory of an idle connection, to gnet's"}
	for mode := range modeNames {
		row.Cells = append(row.Cells, r.idleCell(ourModes(idleTest)[mode], "gnet"))
	}
	t.Rows = append(t.Rows, row)
	t.Long = true
	return t.WithoutEmpty()
}

func (t tally) cell() page.Cell {
	if t.cells() == 0 {
		return page.Cell{Text: "–"}
	}
	c := page.Cell{Text: fmt.Sprintf("%.2f×", t.mean)}
	c.Small = fmt.Sprintf("%d ahead, %d behind of %d", t.ahead, t.behind, t.cells())
	switch {
	case t.ahead > 0 && t.behind == 0:
		c.Verdict = page.Better
	case t.behind > 0 && t.ahead == 0:
		c.Verdict = page.Worse
	}
	return c
}

// idleCell compares what an idle connection costs without a forced collection.
func (r *results) idleCell(ours, rival string) page.Cell {
	slopes := map[string]float64{}
	for _, s := range r.idleSummaries() {
		if !s.Forced {
			slopes[s.Contender] = s.Resident
		}
	}
	if slopes[ours] <= 0 || slopes[rival] <= 0 {
		return page.Cell{Text: "–"}
	}
	return page.Cell{
		Text:  fmt.Sprintf("%.2f×", slopes[rival]/slopes[ours]),
		Small: fmt.Sprintf("%.0f bytes beside %.0f", slopes[ours], slopes[rival]),
	}
}

// rivalTable counts cells against each rival, by what decides each test.
func rivalTable(fields []field) page.Table {
	t := page.Table{Caption: "Cells in which weir is ahead / not told apart / behind, by what decides each test", Head: []string{"", "weir pool", "weir inline"}}
	var others []string
	for _, f := range fields {
		for _, name := range f.names {
			if !isOurs(name) && name != "floor-spin" && !slices.Contains(others, name) && name != f.names[0]+again {
				others = append(others, name)
			}
		}
	}
	for _, name := range others {
		row := page.Row{Label: labelOf(echoTest, name), Kind: kindOf(echoTest, name)}
		for mode := range modeNames {
			var n tally
			for _, f := range fields {
				n.add(f.advantage(ourModes(f.test)[mode], name, mainAspect(f.test)))
			}
			text := "–"
			if n.cells() > 0 {
				text = fmt.Sprintf("%d / %d / %d", n.ahead, n.equal, n.behind)
			}
			row.Cells = append(row.Cells, page.Cell{Text: text})
		}
		t.Rows = append(t.Rows, row)
	}
	return t.WithoutEmpty()
}
