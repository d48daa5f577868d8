package main

import (
	"fmt"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// compareSection sets two commits side by side.
func (r *results) compareSection() page.Section {
	all := r.comparisons()
	s := page.Section{
		ID: "compare", Title: "This tree and " + r.compare.Ref,
		Text: []string{
			"The same servers, built with weir of this tree and of the other commit, under the same loads in the same rounds. Right of the line this tree is better.",
			fmt.Sprintf("p is how often chance alone would make them differ as much: the share of all ways to exchange the two within rounds. "+
				"It is corrected for %d comparisons (Holm): below %.2f a difference is shown, and one of twenty whole comparisons of equal commits would show any.", len(all), significance),
		},
	}
	g := page.Group{}
	t := page.Table{Head: []string{"", "aspect", "ratio", "p", "corrected", ""}}
	forests := map[string]*page.Forest{}
	for _, c := range all {
		label := fmt.Sprintf("%s %s", textOf(c.test).short, c.cell)
		key := c.mode + ": " + c.aspect.name
		f := forests[key]
		if f == nil {
			f = &page.Forest{Title: key, Note: "right: this tree is better"}
			forests[key] = f
			g.Charts = append(g.Charts, f)
		}
		better := c.ratio
		if c.aspect.less {
			better = ratio{1 / c.ratio.Median, interval{1 / c.ratio.Range.High, 1 / c.ratio.Range.Low}}
		}
		f.Rows = append(f.Rows, page.ForestRow{Label: label, Middle: better.Median, Low: better.Range.Low, High: better.Range.High})
		said := page.Cell{Text: c.says()}
		switch said.Text {
		case "better":
			said.Verdict = page.Better
		case "worse":
			said.Verdict = page.Worse
		}
		t.Rows = append(t.Rows, page.Row{Label: label + ", " + c.mode, Cells: []page.Cell{
			{Text: c.aspect.name}, ratioCell(c.ratio, c.aspect.less), {Text: fmt.Sprintf("%.4f", c.p)}, {Text: fmt.Sprintf("%.4f", c.corrected)}, said,
		}})
	}
	g.Tables = append(g.Tables, t)
	s.Groups = append(s.Groups, g)
	return s
}
