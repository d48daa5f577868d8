package main

import (
	"fmt"
	"path"
	"strings"
)

// cell is one load to measure.
type cell struct {
	Connections int `json:"connections"`
	Size        int `json:"size"` // of a message, bytes
	Depth       int `json:"depth"`
}

// String is the cell's name: connections, size and depth, like 100x64x16.
func (c cell) String() string {
	return fmt.Sprintf("%dx%dx%d", c.Connections, c.Size, c.Depth)
}

// defaultCells are small messages at three numbers of connections, and bulk.
func defaultCells() []cell {
	var cells []cell
	for _, connections := range []int{10, 100, 1000} {
		for _, size := range []int{64, 1024} {
			for _, depth := range []int{1, 16} {
				cells = append(cells, cell{connections, size, depth})
			}
		}
	}
	return append(cells, cell{10, 64 << 10, 1})
}

// selectCells returns those of cells that one of the patterns matches; a pattern
// without * is a cell by itself, known or not.
func selectCells[C fmt.Stringer](cells []C, patterns string, parse func(string) (C, error)) ([]C, error) {
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
				return nil, fmt.Errorf("-cells: %q: %w", pattern, err)
			}
			if matches {
				selected = append(selected, c)
			}
		}
		if len(selected) == before {
			return nil, fmt.Errorf("-cells: no cell matches %q", pattern)
		}
	}
	return selected, nil
}

func parseCell(s string) (cell, error) {
	var c cell
	n, err := fmt.Sscanf(s, "%dx%dx%d", &c.Connections, &c.Size, &c.Depth)
	if err != nil || n != 3 || c.String() != s || c.Connections < 1 || c.Size < 1 || c.Depth < 1 {
		return cell{}, fmt.Errorf("-cells: %q is not a cell: want CONNECTIONSxSIZExDEPTH, like 100x64x16", s)
	}
	return c, nil
}
