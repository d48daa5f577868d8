package page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

func plain(v float64) string { return fmt.Sprintf("%.4g", v) }

// charts are one of each kind, with values that are awkward.
func charts() map[string]Chart {
	nasty := `<b>&"weir"`
	return map[string]Chart{
		"strip": Strip{Title: nasty, Note: "note", Label: plain, Rows: []StripRow{
			{Label: nasty, Kind: Ours, Values: []float64{1, 2, 3}, Middle: 2, Low: 1, High: 3},
			{Label: "bar", Kind: Rival, Middle: 7},
			{Label: "zero", Kind: Floor},
		}},
		"ladder": Ladder{Title: nasty, Label: plain, Rows: []LadderRow{
			{Label: "a", Kind: Ours, Marks: []Mark{{"p50", 20, true}, {"p99", 3e6, false}}, Value: "x"},
			{Label: "none", Kind: Noise},
		}},
		"forest": Forest{Title: nasty, Rows: []ForestRow{
			{Label: "better", Middle: 2, Low: 1.5, High: 3}, {Label: "worse", Middle: 0.5, Low: 0.4, High: 0.6},
			{Label: "same", Middle: 1, Low: 0.9, High: 1.1}, {Label: "far", Middle: 1e6, Low: 1e5, High: 1e7},
		}},
		"empty strip":  Strip{Title: "t", Label: plain},
		"empty ladder": Ladder{Title: "t", Label: plain},
		"empty forest": Forest{Title: "t"},
		"odd strip":    Strip{Label: plain, Rows: []StripRow{{Middle: math.Inf(1)}}},
	}
}

// Charts are well-formed, nothing in them is not a number, and nothing lies outside.
func TestChartsAreSound(t *testing.T) {
	for name, c := range charts() {
		svg := string(c.SVG())
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf\"") || strings.Contains(svg, "<b>") {
			t.Errorf("%s: %s", name, svg)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in %s", name, err, svg)
			}
			if e, ok := token.(xml.StartElement); ok {
				for _, a := range e.Attr {
					var x float64
					if a.Name.Local == "cx" || a.Name.Local == "x1" || a.Name.Local == "x2" {
						if _, err := fmt.Sscan(a.Value, &x); err != nil || x < 0 || x > width {
							t.Errorf("%s: %s=%s", name, a.Name.Local, a.Value)
						}
					}
				}
			}
		}
	}
}

func TestForestSaysWhatIsNotToldApart(t *testing.T) {
	svg := string(charts()["forest"].SVG())
	for _, want := range []string{`<g class="better">`, `<g class="worse">`, `<g class="same">`, `class="hollow"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is missing in %s", want, svg)
		}
	}
	if strings.Count(svg, `class="hollow"`) != 1 {
		t.Error("want one ring")
	}
}

func TestAxes(t *testing.T) {
	a, ticks := linear(92_000, 100, 300)
	if a.high != 100_000 || len(ticks) != 5 || ticks[4] != 100_000 || a.at(50_000) != 200 || a.at(-5) != 100 || a.at(1e9) != 300 {
		t.Errorf("%+v, %v", a, ticks)
	}
	a, ticks = decades(30, 9000, 0, 100)
	if a.low != 10 || a.high != 10_000 || fmt.Sprint(ticks) != "[10 100 1000 10000]" || math.Abs(a.at(100)-100.0/3) > 1e-9 {
		t.Errorf("%+v, %v", a, ticks)
	}
	a, ticks = decades(60, 700, 0, 100)
	if a.low != 50 || a.high != 1000 || fmt.Sprint(ticks) != "[50 100 200 500 1000]" {
		t.Errorf("%+v, %v", a, ticks)
	}
	if _, ticks = decades(1, 1e12, 0, 100); len(ticks) > 6 {
		t.Errorf("%d ticks", len(ticks))
	}
	a, ticks = ratioAxis(0.06, 8, 100, 250)
	for i := 1; i < len(ticks); i++ {
		if a.at(ticks[i])-a.at(ticks[i-1]) < tickSpace {
			t.Errorf("ticks %v are too close", ticks)
		}
	}
	if !strings.Contains(fmt.Sprint(ticks), " 1 ") {
		t.Errorf("no 1 among %v", ticks)
	}
	if got := fmt.Sprint(roundUp(0.3), roundUp(1), roundUp(2.1), roundUp(2.6), roundUp(7)); got != "0.5 1 2.5 5 10" {
		t.Errorf("got %s", got)
	}
}

// A page loads nothing from anywhere, and what it is given cannot become markup.
func TestPageStandsAlone(t *testing.T) {
	p := Page{
		Title: "<script>", Warnings: []string{"careful & slow"}, Lead: []string{"lead"},
		Runs: []Run{{Name: "a.jsonl", Facts: []Fact{{"kernel", "Linux"}}}},
		Sections: []Section{{ID: "x", Title: "Test", Says: "this", SaysNot: "that", Groups: []Group{{
			Title: "cell", Tables: []Table{{Caption: "c", Head: []string{"", "a"}, Rows: []Row{{Label: "weir", Kind: Ours, Cells: []Cell{{"1.0", "0.9–1.1", Better}}}}}},
			Detail: []Table{{Head: []string{"", "b"}}},
		}}}},
	}
	for _, c := range charts() {
		p.Sections[0].Groups[0].Charts = append(p.Sections[0].Groups[0].Charts, c)
	}
	var out strings.Builder
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, bad := range []string{"http:", "https:", "<script", "<link", "src=", "url(", "@import", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "prefers-color-scheme: dark", `width=device-width`, `<td class="better">1.0<small>`, "careful &amp; slow", "<svg", "kernel"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestWithoutEmptyDropsWhatSaysNothing(t *testing.T) {
	table := Table{Head: []string{"", "a", "b"}, Rows: []Row{
		{Label: "x", Cells: []Cell{{Text: "–"}, {Text: "1"}}},
		{Label: "y", Cells: []Cell{{}, {}}},
	}}.WithoutEmpty()
	if fmt.Sprint(table.Head) != "[ b]" || len(table.Rows) != 1 || len(table.Rows[0].Cells) != 1 || table.Rows[0].Cells[0].Text != "1" {
		t.Errorf("%+v", table)
	}
}
