//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// act is something that clients do to a server, for some seconds at most. It leaves
// nothing behind: all its connections have ended, or are about to. What it expects the
// server to count it adds to the stage's books. The error is what went wrong.
type act interface {
	play(ctx context.Context, s *stage) error
}

// dice draw how big things are.
type dice struct {
	*rand.Rand
	most  bool // always as big as can be
	small bool // a tenth of it
}

// between draws a number from low to high.
func (d dice) between(low, high int) int {
	if d.small {
		low, high = max(1, low/10), max(1, high/10)
	}
	if n := d.IntN(high - low + 1); !d.most {
		return low + n
	}
	return high
}

// size draws how long a message is: short ones more often than long ones.
func (d dice) size(most int) int {
	if n := d.IntN(most) >> d.IntN(8); !d.most {
		return n
	}
	return most
}

// repertoire is all that is done to the servers that last, once in each cycle.
var repertoire = []func(dice) act{
	drawChurn, drawResets, drawFanOut, drawSlowMember, drawSlowReader, drawStuckReader,
	drawHalfClose, drawBadPeers, drawVisits,
}

// warmUpCycles are played at the greatest sizes, so that what servers keep for later
// use has its full extent when looking begins.
const warmUpCycles = 2

// lanesPerServer is how many acts are played to one server at a time.
const lanesPerServer = 3

// plan draws a cycle: for each of the lasting servers lanes of acts that are played side
// by side, and the order of what happens to the mortal one. Seed and number say it all.
func plan(seed uint64, cycle int, small bool) (servers map[string][][]act, mortal []mortalAct) {
	servers = map[string][][]act{}
	for i, name := range lasting {
		d := dice{rand.New(rand.NewPCG(seed, uint64(cycle)<<8|uint64(i))), cycle < warmUpCycles, small}
		lanes := make([][]act, lanesPerServer)
		for n, which := range d.Perm(len(repertoire)) {
			lanes[n%lanesPerServer] = append(lanes[n%lanesPerServer], repertoire[which](d))
		}
		servers[name] = lanes
	}
	d := dice{rand.New(rand.NewPCG(seed, uint64(cycle)<<8|0xff)), cycle < warmUpCycles, small}
	mortal = []mortalAct{drawRestart(d), drawShutdown(d)}
	d.Shuffle(len(mortal), func(i, j int) { mortal[i], mortal[j] = mortal[j], mortal[i] })
	return servers, mortal
}

// describe is an act's name and what was drawn for it.
func describe(a any) string {
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", a, a), "main.")
}
