package main

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// used is what a server has used in the measured time of a load.
type used struct {
	CPU        time.Duration `json:"server_cpu_ns"`
	Allocs     int64         `json:"allocs,omitempty"` // 0 also where it cannot be told
	AllocBytes int64         `json:"alloc_bytes,omitempty"`
	Resident   int64         `json:"resident_bytes,omitempty"` // at the end of that time
}

// meter asks a server for what it has used when the measured time begins and when it ends.
type meter struct {
	server *server
	at     [2]serving.Usage
	err    error
}

// progress is the load's.
func (m *meter) progress(p load.Progress) {
	switch {
	case p.Phase == load.Measuring && p.Elapsed == 0:
		m.look(0)
	case p.Phase == load.Finishing && p.Elapsed == 0:
		m.look(1)
	}
}

func (m *meter) look(i int) {
	u, err := m.server.Use()
	if err != nil {
		m.err = fmt.Errorf("server %s: %w", m.server.name, err)
	}
	m.at[i] = u
}

func (m *meter) used() (used, error) {
	return used{
		CPU:        m.at[1].CPU - m.at[0].CPU,
		Allocs:     m.at[1].Allocs - m.at[0].Allocs,
		AllocBytes: m.at[1].AllocBytes - m.at[0].AllocBytes,
		Resident:   m.at[1].Resident,
	}, m.err
}
