package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// The report as a page: what results say, in the order in which it is read.
//
//	sheet.go          the page, and what was measured where
//	sheet_short.go    the summary
//	sheet_glance.go   all cells at a glance
//	losses.go         where weir loses
//	sheet_cells.go    a section for each test, a group for each cell
//	sheet_memory.go   memory, of idle connections and of subscribers
//	sheet_compare.go  two commits
//	describe.go       the words

// writeSheet makes the page of one or more runs.
func writeSheet(w io.Writer, runs []*results) error {
	p := page.Page{
		Title: "weir, measured",
		Lead: []string{
			"weir, a networking engine for Go, beside bare event loops that do the same work (the floor), package net, other engines and C++ Asio. " +
				"Each serves in a process of its own, the load runs in another, over 127.0.0.1. In a round each gets its turn, and the next round begins with another one, so that a slow minute of the machine hits all.",
		},
		Foot: []string{
			"The method, and how to repeat this, is in benchmarks/README.md. All figures follow from the JSON lines that are named above.",
		},
	}
	if len(runs) == 1 && runs[0].compare.Ref != "" {
		p.Lead = []string{
			"weir of this tree beside weir of another commit. Each serves in a process of its own, the load runs in another, over 127.0.0.1. In a round each gets its turn, and the next round begins with another one, so that a slow minute of the machine hits all.",
			"Every dot is one round. What two processes of the same program differ by is in the row that ends in “again”.",
		}
	}
	for i, r := range runs {
		p.Warnings = append(p.Warnings, r.warnings()...)
		p.Runs = append(p.Runs, r.setup())
		for _, s := range r.sections() {
			if len(runs) > 1 {
				s.ID = fmt.Sprintf("%s-%d", s.ID, i+1)
				s.Title += " · " + r.name
			}
			p.Sections = append(p.Sections, s)
		}
	}
	return p.Write(w)
}

func (r *results) sections() []page.Section {
	var all []page.Section
	if r.compare.Ref != "" {
		all = append(all, r.compareSection())
	} else {
		for _, s := range []page.Section{r.short(), r.glance()} {
			if len(s.Groups) > 0 {
				all = append(all, s)
			}
		}
		if r.rivalled() {
			all = append(all, r.lossSection())
		}
	}
	for _, test := range r.tests() {
		all = append(all, r.testSection(test))
	}
	if len(r.idle) > 0 {
		all = append(all, r.idleSection())
	}
	if len(r.stuck) > 0 {
		all = append(all, r.stuckSection())
	}
	return append(all, r.contenderSection())
}

// warnings are what a reader must know first.
func (r *results) warnings() []string {
	var all []string
	if r.suite.Mode == quickMode {
		all = append(all, fmt.Sprintf("Indicative only: %d short rounds. It shows that everything runs, and orders of magnitude; an interval of so few rounds is no more than their least and most.", r.suite.Rounds))
	}
	all = append(all, r.suite.Notes...)
	for _, n := range r.notes {
		all = append(all, n.Text)
	}
	for _, f := range r.failures {
		all = append(all, fmt.Sprintf("%s failed in %s %s, round %d: %s", labelOf(f.Test, f.Contender), f.Test, f.Cell, f.Round+1, f.Error))
	}
	for _, m := range r.missing {
		text := fmt.Sprintf("Missing: %s. %s.", m.Contender, m.Why)
		if m.Type != "" {
			text += " To have it, type: " + m.Type
		}
		all = append(all, text)
	}
	return all
}

// setup is what the results depend on.
func (r *results) setup() page.Run {
	s := r.setting
	run := page.Run{Name: r.name}
	for _, f := range []page.Fact{
		{Name: "command", Value: s.Command},
		{Name: "commit", Value: s.Commit},
		{Name: "processor", Value: fmt.Sprintf("%s, %d CPUs, GOMAXPROCS %d", s.CPU, s.CPUs, s.GOMAXPROCS)},
		{Name: "memory", Value: s.Memory},
		{Name: "kernel", Value: s.Kernel + ", " + s.System},
		{Name: "Go", Value: s.Go},
		{Name: "limits", Value: limitsText(s)},
		{Name: "load before", Value: s.Load},
		{Name: "verified", Value: bytesText(r.verified()) + ", each byte compared with what was sent"},
	} {
		if f.Value != "" {
			run.Facts = append(run.Facts, f)
		}
	}
	return run
}

func limitsText(s setting) string {
	var parts []string
	if s.Files != "" {
		parts = append(parts, "open files "+s.Files)
	}
	if s.Backlog != "" {
		parts = append(parts, "somaxconn "+s.Backlog)
	}
	return strings.Join(parts, ", ")
}

func (r *results) verified() (bytes int64) {
	for _, o := range r.observations {
		bytes += o.verified
	}
	return bytes
}

// contenderSection says how each is set up.
func (r *results) contenderSection() page.Section {
	s := page.Section{
		ID: "contenders", Title: "Contenders and their settings",
		Text: []string{"Each is set up as its authors advise for a server that is busy with I/O. weir runs with its default options but for the mode."},
	}
	for _, hubs := range []bool{false, true} {
		t := page.Table{Head: []string{"", "how it is set up"}, Prose: true}
		title, test := "Echo servers", echoTest
		if hubs {
			title, test = "Servers of the fan-out", fanoutTest
		}
		for _, a := range r.describedContenders(hubs) {
			t.Rows = append(t.Rows, page.Row{Label: labelOf(test, a.Contender), Kind: kindOf(test, a.Contender), Cells: []page.Cell{{Text: a.About}}})
		}
		if len(t.Rows) > 0 {
			s.Groups = append(s.Groups, page.Group{Title: title, Tables: []page.Table{t}})
		}
	}
	return s
}

// describedContenders are those that took part. Results from before they were described
// there are described as they are now.
func (r *results) describedContenders(hubs bool) []aboutLine {
	var abouts []aboutLine
	for _, a := range r.abouts {
		at := slices.IndexFunc(abouts, func(b aboutLine) bool { return a.Contender == b.Contender })
		switch {
		case a.Hub != hubs:
		case at >= 0:
			abouts[at] = a // with its version
		default:
			abouts = append(abouts, a)
		}
	}
	if len(abouts) > 0 {
		return abouts
	}
	names := distinct(r.observations, func(o observation) string {
		if inFanout(o.test) == hubs {
			return o.contender
		}
		return ""
	})
	for _, name := range names {
		about := ""
		if c, err := find(name); err == nil && !hubs {
			about = c.about
		}
		if h, err := findHub(name); err == nil && hubs {
			about = h.about
		}
		if about != "" {
			abouts = append(abouts, aboutLine{name, hubs, about})
		}
	}
	return abouts
}
