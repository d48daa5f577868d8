package main

import (
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is a bug that was, or could have been, in the engine: a change of a few lines.
// Its file says what it breaks, and then what to change, as in a patch without line
// numbers:
//
//	breaks: the descriptor is closed while somebody still writes to it
//	quick: yes
//	--- engine/conn.go
//	 func (c *conn) Release() {
//	-	if c.refs.Add(-1) == 0 {
//	+	if c.refs.Add(-1) >= 0 {
//	@@
//	(another place in the same file)
//
// Lines that begin with a space or '-' must stand in the file exactly once, one behind
// the other: a mutant that no longer fits the code is an error, and not one that was
// caught.
type mutant struct {
	name   string
	breaks string
	quick  bool // it is one of the few that every push is checked against
	edits  []edit
}

// edit is a change in one place of a file.
type edit struct {
	file string // below the module's directory, with slashes
	old  string
	new  string
}

//go:embed patches/*.patch
var patches embed.FS

// mutants returns all there are, by name.
func mutants() ([]mutant, error) {
	entries, err := patches.ReadDir("patches")
	if err != nil {
		return nil, err
	}
	var list []mutant
	for _, entry := range entries {
		text, err := patches.ReadFile("patches/" + entry.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		m.name = strings.TrimSuffix(path.Base(entry.Name()), ".patch")
		list = append(list, m)
	}
	return list, nil
}

// parse reads a mutant's file.
func parse(text string) (m mutant, err error) {
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		last := len(m.edits) - 1
		switch {
		case strings.HasPrefix(line, "--- "):
			m.edits = append(m.edits, edit{file: strings.TrimPrefix(line, "--- ")})
		case last < 0 && key == "breaks":
			m.breaks = value
		case last < 0 && key == "quick" && value == "yes":
			m.quick = true
		case last < 0:
			return m, fmt.Errorf("line %d: %q is not a field", i+1, line)
		case line == "@@":
			m.edits = append(m.edits, edit{file: m.edits[last].file})
		case line == "" || !strings.Contains(" -+", line[:1]):
			return m, fmt.Errorf("line %d: %q does not begin with a space, '-' or '+'", i+1, line)
		default:
			m.edits[last].add(line[0], line[1:]+"\n")
		}
	}
	switch {
	case m.breaks == "":
		return m, fmt.Errorf("does not say what it breaks")
	case len(m.edits) == 0:
		return m, fmt.Errorf("changes nothing")
	}
	for _, e := range m.edits {
		if e.old == "" || e.old == e.new {
			return m, fmt.Errorf("%s: an edit has no old lines, or changes nothing", e.file)
		}
	}
	return m, nil
}

func (e *edit) add(kind byte, line string) {
	if kind != '+' {
		e.old += line
	}
	if kind != '-' {
		e.new += line
	}
}

// apply makes the changed files of a mutant in a directory, and returns which file of
// the module at root each takes the place of.
func (m mutant) apply(root, into string) (replace map[string]string, err error) {
	replace = make(map[string]string)
	texts := make(map[string]string)
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, err
			}
			text = string(content)
		}
		if texts[e.file], err = e.apply(text); err != nil {
			return nil, err
		}
	}
	for file, text := range texts {
		changed := filepath.Join(into, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return nil, err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = changed
	}
	return replace, nil
}

// apply makes the change in a file's text. The old lines must be there exactly once.
func (e edit) apply(text string) (string, error) {
	found, at := 0, -1
	for i := 0; i <= len(text); i++ {
		if (i == 0 || text[i-1] == '\n') && strings.HasPrefix(text[i:], e.old) {
			found, at = found+1, i
		}
	}
	if found != 1 {
		return "", fmt.Errorf("%s: the old lines are there %d times, and must be once:\n%s", e.file, found, e.old)
	}
	return text[:at] + e.new + text[at+len(e.old):], nil
}

// choose returns the mutants of these names; all that there are, or the quick ones, if
// there are no names.
func choose(all []mutant, names []string, quick bool) ([]mutant, error) {
	var chosen []mutant
	for _, m := range all {
		if slices.Contains(names, m.name) || len(names) == 0 && (m.quick || !quick) {
			chosen = append(chosen, m)
		}
	}
	if len(names) > 0 && len(chosen) != len(names) {
		return nil, fmt.Errorf("no such mutant among %q", names)
	}
	return chosen, nil
}
