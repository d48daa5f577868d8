//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What stands between these lines of a Markdown file is ours.
const (
	markdownBegin = "<!-- faults: from here to the end mark, as the harness wrote it -->\n"
	markdownEnd   = "<!-- faults: end -->\n"
)

// writeMarkdown writes the results into the file, between the marks if it has
// them, else as all of it.
func writeMarkdown(path string, s setting, servers []string, results []result) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(between(string(old), markdown(s, servers, results))), 0o666)
}

// between replaces what stands between the marks.
func between(old, text string) string {
	before, rest, begun := strings.Cut(old, markdownBegin)
	_, after, ended := strings.Cut(rest, markdownEnd)
	if !begun || !ended {
		return text
	}
	return before + markdownBegin + text + markdownEnd + after
}

// markdown is the side-by-side table, and a table with the details of each fault.
func markdown(s setting, servers []string, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit %s; %d × %s, %s, %s.\n\n", s.Date, s.Commit, s.CPUs, s.CPU, s.Kernel, s.Go)
	tableLine(&b, append([]string{"fault"}, servers...)...)
	tableLine(&b, dashes(len(servers)+1)...)
	for _, line := range matrix(servers, results) {
		tableLine(&b, append([]string{line.fault}, line.cells...)...)
	}
	last := ""
	for _, r := range results {
		if name := fmt.Sprintf("%d %s", r.Row, r.Fault); name != last {
			last = name
			fmt.Fprintf(&b, "\n#### %s\n\nInjected: %s.\nRequired: %s.\n\n", name, r.How, r.Required)
			tableLine(&b, "server", "verdict", "seen", "healthy clients", "back at base")
			tableLine(&b, dashes(5)...)
		}
		if r.Verdict == doesNotApply {
			tableLine(&b, r.Server, string(r.Verdict), r.Why, "", "")
			continue
		}
		seen := strings.Join(r.Seen, "; ")
		if r.Why != "" {
			seen += " **" + r.Why + "**"
		}
		tableLine(&b, r.Server, string(r.Verdict), strings.TrimSpace(seen), r.health(), r.settled())
	}
	return b.String()
}

func dashes(n int) []string { return strings.Split(strings.Repeat("---,", n-1)+"---", ",") }

func tableLine(b *strings.Builder, cells ...string) {
	for _, cell := range cells {
		b.WriteString("| " + strings.ReplaceAll(strings.ReplaceAll(cell, "|", `\|`), "\n", " ") + " ")
	}
	b.WriteString("|\n")
}
