package engine_test

import (
	"slices"
	"sync"

	"github.com/weirnet/weir/engine"
)

// journal is a Logger that keeps what it is told.
type journal struct {
	mu    sync.Mutex
	lines []line
}

type line struct {
	level engine.Level
	event string
	text  map[string]string
}

func (j *journal) Enabled(engine.Level) bool { return true }

func (j *journal) Log(level engine.Level, event string, fields []engine.Field) {
	text := make(map[string]string)
	for _, f := range fields {
		text[f.Key] = f.Text
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line{level, event, text})
}

// of returns the lines of an event so far.
func (j *journal) of(event string) []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.lines), func(l line) bool { return l.event != event })
}
