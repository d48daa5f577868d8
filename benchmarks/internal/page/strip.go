package page

import (
	"fmt"
	"html/template"
)

// Strip shows every single round as a dot, the median as a line and its interval as a
// band, from zero on.
type Strip struct {
	Title string
	Note  string // below the axis
	Rows  []StripRow
	Label func(float64) string // of a value
	Tick  func(float64) string // of a place on the axis; nil: Label
}

// StripRow is one contender. Without values it is a bar as long as Middle.
type StripRow struct {
	Label     string
	Kind      Kind
	Values    []float64
	Middle    float64
	Low, High float64
}

// SVG draws it.
func (s Strip) SVG() template.HTML {
	top := 0.0
	for _, r := range s.Rows {
		top = max(top, r.Middle)
		for _, v := range r.Values {
			top = max(top, v)
		}
	}
	var labels, values []string
	for _, r := range s.Rows {
		labels, values = append(labels, r.Label), append(values, s.Label(r.Middle))
	}
	d := draw(s.Title, s.Note, labels, values)
	a, ticks := linear(top, d.from, d.to)
	tick := s.Tick
	if tick == nil {
		tick = s.Label
	}
	d.ticks(a, ticks, tick)
	for i, r := range s.Rows {
		y := d.row(i, r.Kind, r.Label, s.Label(r.Middle), s.tip(r))
		if len(r.Values) == 0 {
			d.rect("band", a.at(0), a.at(r.Middle), y-5, y+5)
		} else {
			d.rect("band", a.at(r.Low), a.at(r.High), y-6, y+6)
		}
		for _, v := range r.Values {
			d.dot("dot", a.at(v), y, 2.1)
		}
		d.rect("mark", a.at(r.Middle)-1, a.at(r.Middle)+1, y-7, y+7)
		d.end()
	}
	return d.svg()
}

func (s Strip) tip(r StripRow) string {
	if len(r.Values) == 0 {
		return fmt.Sprintf("%s: %s", r.Label, s.Label(r.Middle))
	}
	return fmt.Sprintf("%s: median %s, 95 %% interval %s to %s, %d rounds", r.Label, s.Label(r.Middle), s.Label(r.Low), s.Label(r.High), len(r.Values))
}
