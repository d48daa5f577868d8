// Package page draws a report as one HTML page that needs nothing else: no script, no
// font, no picture from outside. It knows how things look, not what they mean; who calls
// it has done the statistics.
//
//	page.go      what a page consists of
//	chart.go     the frame that all charts share: rows with a label and a value
//	strip.go     every single round as a dot, with median and interval
//	ladder.go    percentiles on a logarithmic axis
//	forest.go    ratios with their intervals, around one
//	axis.go      where the ticks are
//	page.html    the template; style.css is put into it
package page

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
)

// Page is a report.
type Page struct {
	Title    string
	Lead     []string // paragraphs
	Warnings []string // what a reader must know before believing anything
	Runs     []Run
	Sections []Section
	Foot     []string
}

// Run is what the results of one file depend on.
type Run struct {
	Name  string
	Facts []Fact
}

// Fact is a name with a value.
type Fact struct{ Name, Value string }

// Section is a chapter: a test, or a view over all of them.
type Section struct {
	ID      string
	Title   string
	Text    []string
	Says    string // what its numbers say,
	SaysNot string // and what they do not
	Groups  []Group
}

// Group belongs together: the cell of a test.
type Group struct {
	Title  string
	Text   string
	Charts []Chart
	Tables []Table
	Notes  []string
	Detail []Table // folded
}

// Chart draws itself.
type Chart interface {
	SVG() template.HTML
}

// Table has a head and rows. The first cell of a row is its label.
type Table struct {
	Caption string
	Head    []string
	Rows    []Row
	Prose   bool // cells are sentences, which wrap
	Long    bool // labels are sentences, which wrap
}

// Row is one line of a table.
type Row struct {
	Label string
	Kind  Kind
	Cells []Cell
}

// WithoutEmpty is t without the columns and rows in which there is nothing but dashes.
func (t Table) WithoutEmpty() Table {
	says := make([]bool, len(t.Head))
	for _, r := range t.Rows {
		for i, c := range r.Cells {
			if c.says() {
				says[i+1] = true
			}
		}
	}
	kept := Table{Caption: t.Caption, Prose: t.Prose, Long: t.Long}
	for i, h := range t.Head {
		if i == 0 || says[i] {
			kept.Head = append(kept.Head, h)
		}
	}
	for _, r := range t.Rows {
		row := Row{Label: r.Label, Kind: r.Kind}
		for i, c := range r.Cells {
			if says[i+1] {
				row.Cells = append(row.Cells, c)
			}
		}
		if slices.ContainsFunc(row.Cells, Cell.says) {
			kept.Rows = append(kept.Rows, row)
		}
	}
	return kept
}

func (c Cell) says() bool { return c.Text != "" && c.Text != "–" }

// Cell is a value, and in small letters what belongs to it.
type Cell struct {
	Text    string
	Small   string
	Verdict Verdict
}

// Kind is whose a row is: it decides the colour.
type Kind string

// The kinds.
const (
	Ours  Kind = "ours"
	Ours2 Kind = "ours2" // in another mode
	Floor Kind = "floor"
	Noise Kind = "noise" // the same program again
	Rival Kind = "rival"
)

// Verdict is what an interval says: it decides the colour of a cell.
type Verdict string

// The verdicts.
const (
	None   Verdict = ""
	Better Verdict = "better"
	Worse  Verdict = "worse"
	Same   Verdict = "same" // not told apart
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

// Write draws the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(styleCSS) },
	}).Parse(pageHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}
