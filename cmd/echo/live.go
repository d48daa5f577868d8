package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// live tells what is going on: on a terminal in one line that is written over, or
// else in a line a second.
type live struct {
	out      io.Writer
	terminal bool

	name     string
	told     time.Time // when progress was told last
	messages int64     // at that time
}

func newLive(out *os.File) *live {
	info, err := out.Stat()
	return &live{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// begin names what starts now.
func (l *live) begin(name string) {
	l.name, l.told, l.messages = name, time.Now(), 0
	l.show(name)
}

// progress tells how many round trips a second there were since the last call. It
// is called once a second, and at the start of each phase, which is soon after.
func (l *live) progress(p load.Progress) {
	took := time.Since(l.told)
	if took < time.Second/2 {
		return
	}
	rate := float64(p.Messages-l.messages) / took.Seconds()
	l.told, l.messages = time.Now(), p.Messages
	l.show(fmt.Sprintf("%s: %s, %s round trips/s", l.name, p.Phase, formatCount(uint64(rate))))
}

const clearLine = "\r\x1b[K"

func (l *live) show(text string) {
	if l.terminal {
		fmt.Fprint(l.out, clearLine, text)
	} else {
		fmt.Fprintln(l.out, text)
	}
}

// end removes the line.
func (l *live) end() {
	if l.terminal {
		fmt.Fprint(l.out, clearLine)
	}
}
