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
	nums  map[string]int64
}

func (j *journal) Enabled(engine.Level) bool { return true }

func (j *journal) Log(level engine.Level, event string, fields []engine.Field) {
	text, nums := make(map[string]string), make(map[string]int64)
	for _, f := range fields {
		text[f.Key], nums[f.Key] = f.Text, f.Number
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line{level, event, text, nums})
}

// of returns the lines of an event so far.
func (j *journal) of(event string) []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.lines), func(l line) bool { return l.event != event })
}
