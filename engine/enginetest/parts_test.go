package enginetest

import (
	"fmt"
	"slices"
)

// parts are what a simulation consists of, by name: features, faults, clients, and what
// users do. A seed draws all of them, whether they are left out or not, so that a failure
// can be looked for in a history with fewer of them; see shrink.
type parts struct {
	only []string // those to be kept; nil: all
	met  []string // those that were asked for, in that order
}

// has tells whether a part that was drawn is to be there.
func (p *parts) has(name string) bool {
	if p.only != nil && !slices.Contains(p.only, name) {
		return false
	}
	if !slices.Contains(p.met, name) {
		p.met = append(p.met, name)
		if *showParts {
			fmt.Println("part", name)
		}
	}
	return true
}
