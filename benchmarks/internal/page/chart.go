package page

import (
	"fmt"
	"html"
	"html/template"
	"strings"
	"unicode/utf8"
)

// All charts are rows: a label on the left, something drawn in the middle, a value on the
// right. They are as wide as a phone, so that letters stay legible there, and stand side
// by side where there is room.
const (
	width      = 360.0
	labelMin   = 60.0
	labelMax   = 170.0
	charWidth  = 7.3 // of a label's letters, about
	gap        = 7.0
	titleSpace = 22.0
	rowHeight  = 19.0
	axisSpace  = 26.0
	noteSpace  = 14.0
)

// drawing is an SVG under way.
type drawing struct {
	strings.Builder
	rows     int
	from, to float64 // the plot, across
}

// draw begins a drawing with as many rows as labels, and room for the longest of these
// and of the values.
func draw(title, note string, labels, values []string) *drawing {
	d := &drawing{rows: len(labels)}
	d.from = min(max(longest(labels)*charWidth, labelMin), labelMax) + gap
	d.to = width - min(longest(values)*charWidth+4, labelMax) - gap
	height := titleSpace + float64(d.rows)*rowHeight + axisSpace
	if note != "" {
		height += noteSpace
	}
	fmt.Fprintf(d, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, html.EscapeString(title))
	d.text("title", 2, 13, "start", title)
	if note != "" {
		d.text("axis", width/2, height-3, "middle", note)
	}
	return d
}

func longest(texts []string) float64 {
	most := 0
	for _, t := range texts {
		most = max(most, utf8.RuneCountInString(t))
	}
	return float64(most)
}

// text writes at a place; anchor is start, middle or end.
func (d *drawing) text(class string, x, y float64, anchor, s string) {
	fmt.Fprintf(d, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(s))
}

// ticks draws the axis.
func (d *drawing) ticks(a axis, ticks []float64, label func(float64) string) {
	bottom := titleSpace + float64(d.rows)*rowHeight
	for _, t := range ticks {
		x := a.at(t)
		fmt.Fprintf(d, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x, x, titleSpace, bottom+3)
		d.text("axis", x, bottom+14, "middle", label(t))
	}
}

// row opens a row, with its label and value; y is its middle. Close it with end.
func (d *drawing) row(i int, kind Kind, label, value, tip string) (y float64) {
	y = titleSpace + (float64(i)+0.5)*rowHeight
	fmt.Fprintf(d, `<g class="%s"><title>%s</title>`, kind, html.EscapeString(tip))
	d.text("label", d.from-gap, y+4, "end", label)
	d.text("value", d.to+gap, y+4, "start", value)
	return y
}

func (d *drawing) end() { d.WriteString(`</g>`) }

func (d *drawing) dot(class string, x, y, radius float64) {
	fmt.Fprintf(d, `<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>`, class, x, y, radius)
}

func (d *drawing) rect(class string, x1, x2, y1, y2 float64) {
	fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5"/>`, class, x1, y1, max(x2-x1, 1), y2-y1)
}

func (d *drawing) line(class string, x1, x2, y1, y2 float64) {
	fmt.Fprintf(d, `<line class="%s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, class, x1, x2, y1, y2)
}

func (d *drawing) svg() template.HTML {
	d.WriteString(`</svg>`)
	return template.HTML(d.String()) // all text in it was escaped above
}
