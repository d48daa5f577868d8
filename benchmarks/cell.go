package main

import (
	"fmt"
	"path"
	"strings"
)

// cell is one echo load to measure: a closed loop, or an open one with a Rate.
type cell struct {
	Connections int `json:"connections"`
	Size        int `json:"size"` // of a message, bytes

	// Depth is how many messages are in flight on each connection; at a fixed rate, how
	// many may be.
	Depth int `json:"depth,omitempty"`

	// Rate is messages/s over all connections. Share, unless 0, says that it is that many
	// per cent of what the fastest rival did in the same run with as many connections at
	// depth 1; Rate is then 0 until that is known.
	Rate  int `json:"rate,omitempty"`
	Share int `json:"share,omitempty"`
}

// openWindow is how many messages may be in flight on a connection at a fixed rate.
const openWindow = 256

// String is the cell's name: connections, size and depth, like 100x64x16; or messages/s,
// like 100x64@50000; or per cent of saturation, like 100x64@70%.
func (c cell) String() string {
	switch {
	case c.Share > 0:
		return fmt.Sprintf("%dx%d@%d%%", c.Connections, c.Size, c.Share)
	case c.Rate > 0:
		return fmt.Sprintf("%dx%d@%d", c.Connections, c.Size, c.Rate)
	default:
		return fmt.Sprintf("%dx%dx%d", c.Connections, c.Size, c.Depth)
	}
}

// open says whether the cell is an open loop.
func (c cell) open() bool { return c.Rate > 0 || c.Share > 0 }

// saturation is the cell that a share refers to.
func (c cell) saturation() cell { return cell{Connections: c.Connections, Size: c.Size, Depth: 1} }

// defaultCells are small messages at three numbers of connections, and bulk.
func defaultCells() []cell {
	var cells []cell
	for _, connections := range []int{10, 100, 1000} {
		for _, size := range []int{64, 1024} {
			for _, depth := range []int{1, 16} {
				cells = append(cells, cell{Connections: connections, Size: size, Depth: depth})
			}
		}
	}
	return append(cells, cell{Connections: 10, Size: 64 << 10, Depth: 1})
}

// selectCells returns those of cells that one of the patterns matches; a pattern
// without * is a cell by itself, known or not. Errors name the flag.
func selectCells[C fmt.Stringer](flag string, cells []C, patterns string, parse func(string) (C, error)) ([]C, error) {
	var selected []C
	for pattern := range strings.SplitSeq(patterns, ",") {
		if !strings.Contains(pattern, "*") {
			c, err := parse(pattern)
			if err != nil {
				return nil, err
			}
			selected = append(selected, c)
			continue
		}
		before := len(selected)
		for _, c := range cells {
			matches, err := path.Match(pattern, c.String())
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", flag, pattern, err)
			}
			if matches {
				selected = append(selected, c)
			}
		}
		if len(selected) == before {
			return nil, fmt.Errorf("%s: no cell matches %q", flag, pattern)
		}
	}
	return selected, nil
}

func parseCell(s string) (cell, error) {
	var closed, rate, share cell
	n, err := fmt.Sscanf(s, "%dx%dx%d", &closed.Connections, &closed.Size, &closed.Depth)
	if err == nil && n == 3 && closed.valid() && closed.String() == s {
		return closed, nil
	}
	n, err = fmt.Sscanf(s, "%dx%d@%d%%", &share.Connections, &share.Size, &share.Share)
	if err == nil && n == 3 && share.Share < 100 && share.opened().valid() && share.String() == s {
		return share.opened(), nil
	}
	n, err = fmt.Sscanf(s, "%dx%d@%d", &rate.Connections, &rate.Size, &rate.Rate)
	if err == nil && n == 3 && rate.opened().valid() && rate.String() == s {
		return rate.opened(), nil
	}
	return cell{}, fmt.Errorf("-cells: %q is not a cell: want CONNECTIONSxSIZExDEPTH, CONNECTIONSxSIZE@RATE or CONNECTIONSxSIZE@SHARE%%, like 100x64x16, 100x64@50000 or 100x64@70%%", s)
}

// opened is c with the window of an open loop.
func (c cell) opened() cell {
	c.Depth = openWindow
	return c
}

func (c cell) valid() bool {
	return c.Connections > 0 && c.Size > 0 && c.Depth > 0 && c.Rate >= 0 && c.Share >= 0
}

// checkShares says whether each share has, before it, the cell that it refers to.
func checkShares(cells []cell) error {
	seen := map[cell]bool{}
	for _, c := range cells {
		if c.Share > 0 && !seen[c.saturation()] {
			return fmt.Errorf("-cells: %v needs %v before it, whose rate it is a share of", c, c.saturation())
		}
		seen[c] = true
	}
	return nil
}
