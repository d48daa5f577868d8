package main

import (
	"github.com/weirnet/weir/benchmarks/internal/page"
)

// loss is a comparison with the best Go rival of a cell that the rounds decide against weir.
type loss struct {
	test, cell string
	ours       string // contender
	rival      string
	aspect     string
	ahead      ratio // how many times as good weir is: below 1
}

// losses are all of them, cell by cell.
func (r *results) losses() []loss {
	var all []loss
	for _, f := range r.fields() {
		aspects := []aspect{throughput, tail, processor}
		if mainAspect(f.test).less { // at a fixed rate
			aspects = []aspect{tail, farTail, processor}
		}
		for _, ours := range ourModes(f.test) {
			for _, a := range aspects {
				rival := f.best(a, isRival)
				x := f.advantage(ours, rival, a)
				if verdict(x, false) == page.Worse {
					all = append(all, loss{f.test, f.cell, ours, rival, a.name, x})
				}
			}
		}
	}
	return all
}

// lossSection tells them.
func (r *results) lossSection() page.Section {
	s := page.Section{
		ID: "losses", Title: "Where weir loses",
		Text: []string{
			"Every comparison with the best Go rival of a cell whose interval lies wholly on the losing side. Of forty comparisons between equals one would, too, " +
				"and the rival is the luckiest of several.",
		},
	}
	all := r.losses()
	if len(all) == 0 {
		s.Text = append(s.Text, "There is none in this run.")
		return s
	}
	t := page.Table{Head: []string{"", "times as good", "in", "as", "mode"}}
	for _, l := range all {
		t.Rows = append(t.Rows, page.Row{
			Label: textOf(l.test).short + " " + l.cell,
			Cells: []page.Cell{ratioCell(l.ahead, false), {Text: l.aspect}, {Text: l.rival}, {Text: labelOf(l.test, l.ours)}},
		})
	}
	s.Groups = append(s.Groups, page.Group{Tables: []page.Table{t}})
	return s
}
