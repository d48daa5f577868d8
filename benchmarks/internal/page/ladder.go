package page

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Ladder shows percentiles on a logarithmic axis: a mark for each, joined by a line.
type Ladder struct {
	Title string
	Note  string
	Rows  []LadderRow
	Label func(float64) string // of a value
}

// LadderRow is one contender.
type LadderRow struct {
	Label string
	Kind  Kind
	Marks []Mark // rising
	Value string // on the right
}

// Mark is one percentile. Hollow ones are drawn as rings.
type Mark struct {
	Name   string
	Value  float64
	Hollow bool
}

// SVG draws it.
func (l Ladder) SVG() template.HTML {
	low, high := math.Inf(1), 0.0
	for _, r := range l.Rows {
		for _, m := range r.Marks {
			if m.Value > 0 {
				low, high = min(low, m.Value), max(high, m.Value)
			}
		}
	}
	var labels, values []string
	for _, r := range l.Rows {
		labels, values = append(labels, r.Label), append(values, r.Value)
	}
	d := draw(l.Title, l.Note, labels, values)
	a, ticks := decades(low, high, d.from, d.to)
	d.ticks(a, ticks, l.Label)
	for i, r := range l.Rows {
		y := d.row(i, r.Kind, r.Label, r.Value, l.tip(r))
		if n := len(r.Marks); n > 0 {
			d.line("stem", a.at(r.Marks[0].Value), a.at(r.Marks[n-1].Value), y, y)
		}
		for _, m := range r.Marks {
			class := "mark"
			if m.Hollow {
				class = "hollow"
			}
			d.dot(class, a.at(m.Value), y, 3.4)
		}
		d.end()
	}
	return d.svg()
}

func (l Ladder) tip(r LadderRow) string {
	var parts []string
	for _, m := range r.Marks {
		parts = append(parts, fmt.Sprintf("%s %s", m.Name, l.Label(m.Value)))
	}
	return r.Label + ": " + strings.Join(parts, ", ")
}
