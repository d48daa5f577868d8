package page

import (
	"fmt"
	"html/template"
	"slices"
)

// Forest shows ratios with their intervals, around one: right of it is better. What is not
// told apart from one is a ring.
type Forest struct {
	Title string
	Note  string
	Rows  []ForestRow
}

// ForestRow is one ratio.
type ForestRow struct {
	Label             string
	Middle, Low, High float64
}

// forestMax bounds the axis on both sides of one, in case a ratio is extreme.
const forestMax = 32.0

// SVG draws it.
func (f Forest) SVG() template.HTML {
	low, high := 0.8, 1.25
	var labels, values []string
	for _, r := range f.Rows {
		labels, values = append(labels, r.Label), append(values, r.value())
		low, high = min(low, max(r.Low, 1/forestMax)), max(high, min(r.High, forestMax))
	}
	d := draw(f.Title, f.Note, labels, values)
	a, ticks := ratioAxis(low, high, d.from, d.to)
	d.ticks(a, ticks, func(v float64) string { return fmt.Sprintf("%.4g×", v) })
	d.line("one", a.at(1), a.at(1), titleSpace, titleSpace+float64(len(f.Rows))*rowHeight)
	for i, r := range f.Rows {
		tip := fmt.Sprintf("%s: %.3f, 95 %% interval %.3f to %.3f", r.Label, r.Middle, r.Low, r.High)
		y := d.row(i, Kind(r.verdict()), r.Label, r.value(), tip)
		d.line("stem", a.at(r.Low), a.at(r.High), y, y)
		if r.verdict() == Same {
			d.dot("hollow", a.at(r.Middle), y, 3.6)
		} else {
			d.dot("mark", a.at(r.Middle), y, 4)
		}
		d.end()
	}
	return d.svg()
}

// tickSpace is how far apart ticks must be, so that their labels do not touch.
const tickSpace = 37.0

// apart are those ticks that are far enough from each other and from one. They are taken
// from one outwards: backwards if they lie below it.
func (a axis) apart(ticks []float64, backwards bool) []float64 {
	var kept []float64
	last := a.at(1)
	take := func(t float64) {
		if x := a.at(t); max(x-last, last-x) >= tickSpace {
			kept, last = append(kept, t), x
		}
	}
	if !backwards {
		for _, t := range ticks {
			take(t)
		}
		return kept
	}
	for _, t := range slices.Backward(ticks) {
		take(t)
	}
	slices.Reverse(kept)
	return kept
}

func (r ForestRow) value() string {
	if r.Middle >= 9.995 {
		return fmt.Sprintf("%.1f×", r.Middle)
	}
	return fmt.Sprintf("%.2f×", r.Middle)
}

func (r ForestRow) verdict() Verdict {
	switch {
	case r.Low <= 1 && r.High >= 1:
		return Same
	case r.Middle > 1:
		return Better
	default:
		return Worse
	}
}

// ratioAxis is logarithmic, with ticks that read well as ratios, one among them.
func ratioAxis(low, high, from, to float64) (axis, []float64) {
	all := []float64{1 / forestMax, 0.0625, 0.125, 0.25, 0.5, 0.8, 1, 1.25, 2, 4, 8, 16, forestMax}
	first, last := 0, len(all)-1
	for all[first+1] <= low {
		first++
	}
	for all[last-1] >= high {
		last--
	}
	a := axis{low: all[first], high: all[last], log: true, from: from, to: to}
	one := slices.Index(all, 1)
	ticks := append(a.apart(all[first:one], true), 1)
	return a, append(ticks, a.apart(all[one+1:last+1], false)...)
}
