package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// report prints the table, a line as soon as it is known.
type report struct {
	settings settings
	began    time.Time
	survived []string
	broken   int // mutants that could not be hunted
	hunted   int
	highest  int // seed that caught a mutant
}

const plainLine = "%-28s %6s %7s  %s\n"

func (r *report) begin() {
	if r.settings.markdown {
		fmt.Print("| mutant | what it breaks | seed | seconds | what the simulator says |\n|---|---|---|---|---|\n")
		return
	}
	fmt.Printf(plainLine, "mutant", "seed", "seconds", "what the simulator says")
}

func (r *report) add(got result) {
	r.hunted++
	seed, seconds, message := "none", "", "SURVIVES: "+got.mutant.breaks
	switch {
	case got.err != nil:
		seed, message = "?", "ERROR: "+got.err.Error()
		r.broken++
	case got.caught == nil:
		r.survived = append(r.survived, got.mutant.name)
	default:
		seed, message = got.caught.seed, got.caught.message
		seconds = fmt.Sprintf("%.1f", got.caught.took.Seconds())
		if n, err := strconv.Atoi(seed); err == nil {
			r.highest = max(r.highest, n)
		}
	}
	if r.settings.markdown {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", got.mutant.name, got.mutant.breaks, seed, seconds, strings.ReplaceAll(shorten(message), "|", `\|`))
		return
	}
	fmt.Printf(plainLine, got.mutant.name, seed, seconds, message)
}

// cellMost is how much of a message is shown in a table, in bytes.
const cellMost = 100

func shorten(message string) string {
	if len(message) <= cellMost {
		return message
	}
	return message[:cellMost] + "…"
}

// checkTree runs the seeds that caught mutants on the tree as it is: there they must not
// fail.
func (r *report) checkTree(root, scratch string) error {
	if r.highest == 0 {
		return nil
	}
	program := filepath.Join(scratch, "simulator")
	if err := build(root, program, nil); err != nil {
		return err
	}
	n := r.highest - int(r.settings.first) + 1
	caught, err := hunt(program, scratch, r.settings.first, n, r.settings.patience)
	switch {
	case err != nil:
		return err
	case caught != nil:
		return fmt.Errorf("the tree itself fails with seed %s: %s", caught.seed, caught.message)
	}
	fmt.Printf("\nno mutant: seeds %d to %d pass\n", r.settings.first, r.highest)
	return nil
}

func (r *report) end() error {
	fmt.Printf("%d of %d mutants caught, in %v\n", r.hunted-len(r.survived)-r.broken, r.hunted, time.Since(r.began).Round(time.Second))
	if r.broken > 0 {
		return fmt.Errorf("%d mutants could not be hunted", r.broken)
	}
	if len(r.survived) > 0 {
		return errors.New("not caught: " + strings.Join(r.survived, ", "))
	}
	return nil
}
