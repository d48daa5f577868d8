// Command mutants shows that the simulator notices bugs. One after the other it puts a
// known bug back into a copy of the engine's files, builds the simulator with it, and
// runs seeds until one of them fails.
//
//	go run ./internal/mutants                  all of them; a table, and exit code 1 if one survives
//	go run ./internal/mutants -quick           those that are marked as quick
//	go run ./internal/mutants NAME...          these
//	go run ./internal/mutants -list            their names, and what they break
//
// The copies are never seen by anybody else: the build is given an overlay.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

type settings struct {
	quick    bool
	list     bool
	markdown bool
	first    uint64
	seeds    int
	jobs     int
	patience time.Duration
}

func main() {
	var s settings
	flag.BoolVar(&s.quick, "quick", false, "only those that are marked as quick")
	flag.BoolVar(&s.list, "list", false, "list them and do nothing")
	flag.BoolVar(&s.markdown, "markdown", false, "print the table as markdown")
	flag.Uint64Var(&s.first, "seed", 1, "the first seed")
	flag.IntVar(&s.seeds, "seeds", 1500, "how many seeds a mutant has to survive")
	flag.IntVar(&s.jobs, "jobs", 2, "how many are hunted at a time")
	flag.DurationVar(&s.patience, "patience", 30*time.Second, "a seed that takes longer hangs")
	flag.Parse()
	if err := run(s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(s settings, names []string) error {
	all, err := mutants()
	if err != nil {
		return err
	}
	chosen, err := choose(all, names, s.quick)
	if err != nil {
		return err
	}
	if s.list {
		for _, m := range chosen {
			fmt.Printf("%-28s %s\n", m.name, m.breaks)
		}
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	r := &report{settings: s, began: time.Now()}
	r.begin()
	huntAll(s, root, scratch, chosen, r)
	if err := r.checkTree(root, scratch); err != nil {
		return err
	}
	return r.end()
}

// huntAll hunts mutants, some at a time, and reports each in the order of the list.
func huntAll(s settings, root, scratch string, list []mutant, r *report) {
	results := make([]chan result, len(list))
	slots := make(chan struct{}, max(s.jobs, 1))
	var all sync.WaitGroup
	defer all.Wait()
	for i := range list {
		results[i] = make(chan result, 1)
	}
	all.Go(func() {
		for i, m := range list {
			slots <- struct{}{}
			all.Go(func() {
				results[i] <- huntOne(s, root, filepath.Join(scratch, m.name), m)
				<-slots
			})
		}
	})
	for i := range list {
		r.add(<-results[i])
	}
}

// result is what became of a mutant.
type result struct {
	mutant mutant
	caught *capture // nil: it survives
	err    error    // it could not be hunted
}

func huntOne(s settings, root, dir string, m mutant) (got result) {
	got.mutant = m
	if got.err = os.Mkdir(dir, 0o700); got.err != nil {
		return got
	}
	var replace map[string]string
	if replace, got.err = m.apply(root, dir); got.err != nil {
		return got
	}
	program := filepath.Join(dir, "simulator")
	if got.err = build(root, program, replace); got.err != nil {
		return got
	}
	got.caught, got.err = hunt(program, dir, s.first, s.seeds, s.patience)
	return got
}
