package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// ourModes are the names of weir's modes in a test, the default first.
func ourModes(test string) []string {
	if inFanout(test) {
		return []string{"weir", "weir-inline"}
	}
	return []string{"weir-pool", "weir"}
}

var modeNames = []string{"pool", "inline"} // in that order

// glance shows all cells in one place: by how much weir is ahead, or behind.
func (r *results) glance() page.Section {
	s := page.Section{
		ID: "glance", Title: "At a glance",
		Text: []string{
			"By how much weir is ahead (right of the line) or behind (left of it), cell by cell. A grey ring is a difference that the rounds do not show. " +
				"The best rival is chosen for each cell and each question anew, from what these rounds say: so it is a little luckier than it is good.",
		},
	}
	fields := r.fields()
	anyRival := slices.ContainsFunc(fields, func(f field) bool { return f.best(throughput, isRival) != "" })
	for i, mode := range modeNames {
		g := page.Group{Title: fmt.Sprintf("weir, mode %s", mode)}
		if i == 0 {
			g.Title += " (the default)"
		}
		if anyRival {
			g.Text = r.score(fields, i)
			g.Charts = append(g.Charts,
				r.forest(fields, i, "Throughput; p99 at a fixed rate", "right: weir is better than the best Go rival", nil, isRival),
				r.forest(fields, i, "p99", "right: weir's is shorter than the best Go rival's", &tail, isRival),
				r.forest(fields, i, "Server CPU per operation", "right: weir uses less than the thriftiest Go rival", &processor, isRival))
		}
		g.Charts = append(g.Charts,
			r.forest(fields, i, "Against the floor: throughput; p99 at a rate", "right: better than bare loops", nil, func(n string) bool { return n == "floor" }),
			r.forest(fields, i, "Against the floor: server CPU", "right: less than bare loops", &processor, func(n string) bool { return n == "floor" }),
			r.forest(fields, i, "Against C++ Asio: throughput; p99 at a rate", "right: better than Asio", nil, func(n string) bool { return n == "asio" }))
		g.Charts = slices.DeleteFunc(g.Charts, func(c page.Chart) bool { return len(c.(page.Forest).Rows) == 0 })
		if len(g.Charts) > 0 {
			s.Groups = append(s.Groups, g)
		}
	}
	return s
}

// forest compares one of our modes with the best of some, in each cell. Without an aspect
// it is what decides the test.
func (r *results) forest(fields []field, mode int, title, note string, a *aspect, may func(string) bool) page.Forest {
	f := page.Forest{Title: title, Note: note}
	for _, cell := range fields {
		ours := ourModes(cell.test)[mode]
		decides := mainAspect(cell.test)
		if a != nil {
			decides = *a
		}
		other := cell.best(decides, may)
		if other == "" || len(cell.rounds[ours]) == 0 {
			continue
		}
		x := cell.advantage(ours, other, decides)
		if x == (ratio{}) {
			continue
		}
		f.Rows = append(f.Rows, page.ForestRow{
			Label:  textOf(cell.test).short + " " + cell.cell,
			Middle: x.Median, Low: x.Range.Low, High: x.Range.High,
		})
	}
	return f
}

// score counts cells against each rival, in words.
func (r *results) score(fields []field, mode int) string {
	var rivals []string
	for _, f := range fields {
		for _, name := range f.names {
			if isRival(name) && !slices.Contains(rivals, name) {
				rivals = append(rivals, name)
			}
		}
	}
	var parts []string
	for _, rival := range rivals {
		var ahead, behind, equal int
		for _, f := range fields {
			ours := ourModes(f.test)[mode]
			switch verdict(f.advantage(ours, rival, mainAspect(f.test)), false) {
			case page.Better:
				ahead++
			case page.Worse:
				behind++
			case page.Same:
				equal++
			}
		}
		if ahead+behind+equal > 0 {
			parts = append(parts, fmt.Sprintf("%s %d, %d, %d", rival, ahead, equal, behind))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	text := "Cells ahead, not told apart, behind: " + strings.Join(parts, "; ") + "."
	if mean, n := r.echoMean(fields, mode); n > 1 {
		text += fmt.Sprintf(" Geometric mean over %d echo cells with 10 to 1000 connections, to the best Go rival: %.2f×.", n, mean)
	}
	return text
}

// echoMean is over the closed loops with 10 to 1000 connections.
func (r *results) echoMean(fields []field, mode int) (mean float64, cells int) {
	var xs []float64
	for _, f := range fields {
		c, err := parseCell(f.cell)
		if f.test != echoTest || err != nil || c.Connections < 10 || c.Connections > 1000 {
			continue
		}
		if x := f.advantage(ourModes(f.test)[mode], f.best(throughput, isRival), throughput); x.Median > 0 {
			xs = append(xs, x.Median)
		}
	}
	return geometricMean(xs), len(xs)
}
