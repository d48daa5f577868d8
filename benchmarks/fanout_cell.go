package main

import (
	"fmt"
)

// fanoutCell is one fan-out load to measure: a window of messages, or a rate.
type fanoutCell struct {
	Subscribers int `json:"subscribers"`
	Size        int `json:"size"`                // of a message, bytes
	InFlight    int `json:"in_flight,omitempty"` // messages that not all have yet
	Rate        int `json:"rate,omitempty"`      // messages/s
}

// String is the cell's name: subscribers, size and messages in flight, like
// 1000x64x16, or messages per second, like 1000x64@100.
func (c fanoutCell) String() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%dx%d@%d", c.Subscribers, c.Size, c.Rate)
	}
	return fmt.Sprintf("%dx%dx%d", c.Subscribers, c.Size, c.InFlight)
}

// fanoutScene is what cells share that run over the same connections.
type fanoutScene struct {
	Subscribers int `json:"subscribers"`
	Size        int `json:"size"`
}

func (c fanoutCell) scene() fanoutScene { return fanoutScene{c.Subscribers, c.Size} }

// The rates of the default cells, in messages/s: of 64 bytes, about 100,000
// deliveries/s, which every contender can do.
func fanoutCells() []fanoutCell {
	var cells []fanoutCell
	for _, subscribers := range []int{100, 1000, 9000} {
		for _, size := range []int{64, 1024} {
			for _, inFlight := range []int{1, 64} {
				cells = append(cells, fanoutCell{Subscribers: subscribers, Size: size, InFlight: inFlight})
			}
			if size == 64 {
				cells = append(cells, fanoutCell{Subscribers: subscribers, Size: size, Rate: 90_000 / subscribers})
			}
		}
	}
	return cells
}

func parseFanoutCell(s string) (fanoutCell, error) {
	var window, rate fanoutCell
	n, err := fmt.Sscanf(s, "%dx%dx%d", &window.Subscribers, &window.Size, &window.InFlight)
	if err == nil && n == 3 && window.valid() && window.String() == s {
		return window, nil
	}
	n, err = fmt.Sscanf(s, "%dx%d@%d", &rate.Subscribers, &rate.Size, &rate.Rate)
	if err == nil && n == 3 && rate.valid() && rate.String() == s {
		return rate, nil
	}
	return fanoutCell{}, fmt.Errorf("-cells: %q is not a cell: want SUBSCRIBERSxSIZExINFLIGHT or SUBSCRIBERSxSIZE@RATE, like 1000x64x16 or 1000x64@100", s)
}

func (c fanoutCell) valid() bool {
	return c.Subscribers > 0 && c.Size > 0 && c.InFlight >= 0 && c.Rate >= 0 && c.InFlight+c.Rate > 0
}
