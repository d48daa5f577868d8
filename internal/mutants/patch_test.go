package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// Every mutant fits the code as it is, and what it makes of it is Go.
func TestMutantsFit(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	all, err := mutants()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			replace, err := m.apply(root, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for file, changed := range replace {
				if _, err := parser.ParseFile(token.NewFileSet(), changed, nil, parser.SkipObjectResolution); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		})
	}
}

// What the project promises to catch must be there, and be checked by every push.
func TestPromisedMutants(t *testing.T) {
	all, err := mutants()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, m := range all {
		names[m.name] = m.quick
	}
	for _, name := range []string{
		"fd-closed-early", "generation-unchecked", "partial-sendmsg-dropped", "room-told-early", "eof-lost-with-data",
		"budget-stop-not-relisted", "wake-up-lost", "completion-twice", "strand-not-exclusive", "drain-forgets-tail",
		"drop-into-started-message", "join-gap", "reference-leaked",
	} {
		if !names[name] {
			t.Errorf("no mutant %s is quick", name)
		}
	}
}

func TestParse(t *testing.T) {
	m, err := parse("breaks: all\nquick: yes\n--- a.go\n one\n-two\n+2\n@@\n-four\n--- b.go\n-x\n+y\n+z\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []edit{{"a.go", "one\ntwo\n", "one\n2\n"}, {"a.go", "four\n", ""}, {"b.go", "x\n", "y\nz\n"}}
	if m.breaks != "all" || !m.quick || len(m.edits) != len(want) {
		t.Fatalf("%+v", m)
	}
	for i, e := range m.edits {
		if e != want[i] {
			t.Errorf("edit %d is %+v, want %+v", i, e, want[i])
		}
	}
	for _, bad := range []string{
		"", "breaks: x\n", "--- a.go\n-x\n", "breaks: x\n--- a.go\n", "breaks: x\n--- a.go\n+x\n", "breaks: x\n--- a.go\n x\n",
		"breaks: x\nhello: y\n--- a.go\n-x\n", "breaks: x\n--- a.go\n-x\n\n",
	} {
		if m, err := parse(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, m)
		}
	}
}

// A mutant whose lines have gone, or are there twice, is an error.
func TestStaleMutant(t *testing.T) {
	e := edit{file: "a.go", old: "two\n", new: "2\n"}
	if got, err := e.apply("one\ntwo\nthree\n"); err != nil || got != "one\n2\nthree\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := e.apply("two\n"); err != nil || got != "2\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"one\n", "two\ntwo\n", "one\n two\n", "one two\n"} {
		if got, err := e.apply(text); err == nil || !strings.Contains(err.Error(), "a.go") {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []mutant{{name: "a", quick: true}, {name: "b"}}
	for _, c := range []struct {
		names []string
		quick bool
		want  int
	}{{nil, false, 2}, {nil, true, 1}, {[]string{"b"}, true, 1}, {[]string{"c"}, false, -1}} {
		if got, err := choose(all, c.names, c.quick); (err != nil) != (c.want < 0) || err == nil && len(got) != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestListen(t *testing.T) {
	alive := 0
	h := listen(strings.NewReader("=== RUN   TestSimulation\n=== RUN   TestSimulation/seed=7\n    a_test.go:3: fine\n"+
		"=== RUN   TestSimulation/seed=8\n    a_test.go:75: broken: 3\n    b_test.go:1: later\n--- FAIL"), func() { alive++ })
	if h.seed != "8" || h.failure != "broken: 3" || alive != 7 {
		t.Errorf("%+v, %d lines", h, alive)
	}
	if got := firstPanic("x\npanic: here [recovered]\ngoroutine 1\n"); got != "panic: here [recovered]" {
		t.Errorf("%q", got)
	}
}
