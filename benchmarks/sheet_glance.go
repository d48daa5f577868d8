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
			"In the charts of the tests every dot is one round. A ratio is the median of the ratios within rounds, with its 95 % bootstrap interval. Coloured is what lies wholly on one side of 1; " +
				"of twenty comparisons between equals, one would too. What two processes of the same program differ by is in the row “floor again”.",
			cellNames(r.fields()),
		},
	}
	fields := r.fields()
	anyRival := r.rivalled()
	for i, mode := range modeNames {
		g := page.Group{Title: fmt.Sprintf("weir, mode %s", mode)}
		if i == 0 {
			g.Title += " (the default)"
		}
		if anyRival {
			g.Charts = append(g.Charts,
				r.forest(fields, i, "Throughput; p99 at a fixed rate", "right: weir is better than the best Go rival", nil, isRival),
				r.forest(fields, i, "p99", "right: weir's is shorter than the best Go rival's", &tail, isRival),
				r.forest(onlyAtARate(fields), i, "p99.9 at a fixed rate", "right: weir's is shorter than the best Go rival's", &farTail, isRival),
				r.forest(fields, i, "Server CPU per operation", "right: weir uses less than the thriftiest Go rival", &processor, isRival))
		}
		g.Charts = append(g.Charts,
			r.forest(fields, i, "Against the floor: throughput; p99 at a rate", "right: better than bare loops", nil, isFloorItself),
			r.forest(fields, i, "Against the floor: server CPU", "right: less than bare loops", &processor, isFloorItself),
			r.forest(fields, i, "Against C++ Asio: throughput; p99 at a rate", "right: better than Asio", nil, func(n string) bool { return n == "asio" }))
		g.Charts = slices.DeleteFunc(g.Charts, func(c page.Chart) bool { return len(c.(page.Forest).Rows) == 0 })
		if len(g.Charts) > 0 {
			s.Groups = append(s.Groups, g)
		}
	}
	return s
}

// rivalled says whether any rival took part.
func (r *results) rivalled() bool {
	return slices.ContainsFunc(r.fields(), func(f field) bool { return f.best(throughput, isRival) != "" })
}

// onlyAtARate leaves out the closed loops, whose far tail says little.
func onlyAtARate(fields []field) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.test != openTest && f.test != paceTest })
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

// cellNames explains how cells are called, with those that are there.
func cellNames(fields []field) string {
	text := "How cells are called:"
	seen := map[string]bool{}
	for _, f := range fields {
		if !seen[f.test] {
			seen[f.test] = true
			text += fmt.Sprintf(" %s %s: %s;", textOf(f.test).short, f.cell, describeCell(f.test, f.cell))
		}
	}
	return strings.TrimSuffix(text, ";") + "."
}
