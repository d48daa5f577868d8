//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"
)

// linesMax bounds how many lines a journal keeps; the rest is counted.
const linesMax = 2000

// journal is what a process writes to standard error.
type journal struct {
	mu      sync.Mutex
	lines   []entry
	skipped int
}

type entry struct {
	at   time.Time
	text string
}

// read takes lines until r ends.
func (j *journal) read(r io.Reader) {
	buffered := bufio.NewReader(r)
	for {
		text, err := buffered.ReadString('\n')
		if text != "" {
			j.add(text)
		}
		if err != nil {
			return
		}
	}
}

func (j *journal) add(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) >= linesMax {
		j.skipped++
		return
	}
	j.lines = append(j.lines, entry{time.Now(), text})
}

// text is all that was written, as it was.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, line := range j.lines {
		b.WriteString(line.text)
	}
	return b.String()
}

// count returns how many lines contain part.
func (j *journal) count(part string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if strings.Contains(line.text, part) {
			n++
		}
	}
	return n
}

// busiest returns the event that came most often within a second, and how often.
// Events differ by their message and what they say was the matter; lines that are
// no JSON are left out.
func (j *journal) busiest() (event string, most int) {
	type key struct {
		event  string
		second int64
	}
	seen := make(map[key]int)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		var l struct {
			Time                  time.Time
			Message, What, Reason string
		}
		if json.Unmarshal([]byte(line.text), &l) != nil {
			continue
		}
		if l.Time.IsZero() {
			l.Time = line.at
		}
		k := key{strings.TrimSpace(l.Message + " " + l.What + " " + l.Reason), l.Time.Unix()}
		seen[k]++
		if seen[k] > most {
			event, most = k.event, seen[k]
		}
	}
	return event, most
}
