package main

import "fmt"

// churnCell is a load of connections that come and go.
type churnCell struct {
	AtOnce int `json:"at_once"`
	Size   int `json:"size"` // of the one message, bytes
}

// String is the cell's name: connections at once, and size, like 64x64.
func (c churnCell) String() string { return fmt.Sprintf("%dx%d", c.AtOnce, c.Size) }

func churnCells() []churnCell { return []churnCell{{16, 64}, {64, 64}, {256, 64}} }

func parseChurnCell(s string) (churnCell, error) {
	var c churnCell
	n, err := fmt.Sscanf(s, "%dx%d", &c.AtOnce, &c.Size)
	if err != nil || n != 2 || c.String() != s || c.AtOnce < 1 || c.Size < 1 {
		return churnCell{}, fmt.Errorf("-cells: %q is not a cell: want ATONCExSIZE, like 64x64", s)
	}
	return c, nil
}
