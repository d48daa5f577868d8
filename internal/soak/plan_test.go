//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
)

// text is a plan in words.
func text(seed uint64, cycle int) string {
	servers, mortal := plan(seed, cycle, false)
	var b strings.Builder
	for _, name := range lasting {
		for _, lane := range servers[name] {
			for _, a := range lane {
				fmt.Fprintln(&b, name, describe(a))
			}
		}
	}
	for _, a := range mortal {
		fmt.Fprintln(&b, "mortal", describe(a))
	}
	return b.String()
}

func TestPlanRepeatsItself(t *testing.T) {
	for cycle := range 20 {
		if a, b := text(5, cycle), text(5, cycle); a != b {
			t.Fatalf("the same seed gives two plans:\n%s\n%s", a, b)
		}
	}
	if text(5, 7) == text(5, 8) || text(5, 7) == text(6, 7) {
		t.Error("another seed or cycle gives the same plan")
	}
}

// Whatever is drawn, each server sees every kind of act in each cycle: so the load
// between two samples is alike.
func TestPlanIsComplete(t *testing.T) {
	for cycle := range 50 {
		all := text(9, cycle)
		for _, name := range lasting {
			for _, kind := range []string{
				"churn", "resets", "fanOut", "slowMember", "slowReader", "stuckReader", "halfClose", "badPeers", "visits",
			} {
				if n := strings.Count(all, name+" "+kind+"{"); n != 1 {
					t.Errorf("cycle %d: %s is played to %s %d times", cycle, kind, name, n)
				}
			}
		}
		for _, kind := range []string{"restart", "shutdown"} {
			if n := strings.Count(all, "mortal "+kind+"{"); n != 1 {
				t.Errorf("cycle %d: %d of %s", cycle, n, kind)
			}
		}
		if lines := strings.Count(all, "\n"); lines != 2*len(repertoire)+2 {
			t.Errorf("cycle %d: %d acts", cycle, lines)
		}
	}
}

// What the warm-up plays is as big as anything that comes later.
func TestWarmUpIsGreatest(t *testing.T) {
	churnOf := func(cycle int) churn {
		servers, _ := plan(3, cycle, false)
		for _, lane := range servers[poolServer] {
			for _, a := range lane {
				if c, ok := a.(churn); ok {
					return c
				}
			}
		}
		t.Fatal("no churn")
		return churn{}
	}
	most := churnOf(0)
	for cycle := range 100 {
		if c := churnOf(cycle); c.Connections > most.Connections || c.Messages > most.Messages || c.Size > most.Size {
			t.Errorf("cycle %d: %+v is more than %+v", cycle, c, most)
		}
	}
}
