package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/rs/zerolog"
)

// Logger takes an engine's events. Each has a name that does not change between
// releases, and fields.
//
// One goroutine of the engine calls it, one event after the other, and nothing waits
// for that: a Logger may block or panic. An event that it panics at, or that comes
// while 1024 others wait, or while 768 do if it is of level Debug, is dropped and
// counted in Stats.LogDropped; the next event that gets through has the field lost,
// with their number. The end of an engine waits a second for what is still to be
// written. Engines that share a Logger call it from a goroutine each.
type Logger interface {
	// Enabled tells whether Log would do anything with an event of this level.
	// The answer is kept: it is asked for when the engine starts, with each event,
	// and about once a second while the engine is busy. While it is false nothing
	// is prepared, and nothing allocated. A level that it panics at is off, as all
	// are if it does not answer; New waits a second for that.
	Enabled(level Level) bool

	// Log writes one event. The fields are valid until it returns. A text that is
	// longer than 8 KiB was cut.
	Log(level Level, event string, fields []Field)
}

// Level is how much an event matters.
type Level int8

// The levels, with the numbers of log/slog.
const (
	Debug Level = -4
	Info  Level = 0
	Warn  Level = 4
	Error Level = 8
)

// Field is a named value: the text if IsText, else the number.
type Field struct {
	Key    string
	Text   string
	Number int64
	IsText bool
}

// Text is a field with a text. Loggers quote it: it may hold a peer's bytes.
func Text(key, value string) Field { return Field{Key: key, Text: value, IsText: true} }

// Number is a field with a number.
func Number(key string, value int64) Field { return Field{Key: key, Number: value} }

// NoLog is a Logger that drops everything.
type NoLog struct{}

// Enabled returns false.
func (NoLog) Enabled(Level) bool { return false }

// Log does nothing.
func (NoLog) Log(Level, string, []Field) {}

// NewZerolog writes events from the given level on to w, as JSON lines with a
// time stamp, a line with each Write. Engines that share it write one at a time. Level
// Debug also logs each session's open and close.
func NewZerolog(w io.Writer, least Level) Logger {
	return Zerolog(zerolog.New(zerolog.SyncWriter(w)).Level(zerologLevel(least)).With().Timestamp().Logger())
}

// Zerolog makes a Logger of a zerolog.Logger. The event's name is the message.
func Zerolog(l zerolog.Logger) Logger { return zerologger{l} }

type zerologger struct{ l zerolog.Logger }

func (z zerologger) Enabled(level Level) bool {
	return zerologLevel(level) >= max(z.l.GetLevel(), zerolog.GlobalLevel())
}

func (z zerologger) Log(level Level, event string, fields []Field) {
	line := z.l.WithLevel(zerologLevel(level))
	for _, f := range fields {
		if f.IsText {
			line = line.Str(f.Key, printable(f.Text))
		} else {
			line = line.Int64(f.Key, f.Number)
		}
	}
	line.Msg(event)
}

func zerologLevel(level Level) zerolog.Level {
	switch {
	case level < Info:
		return zerolog.DebugLevel
	case level < Warn:
		return zerolog.InfoLevel
	case level < Error:
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}

// Slog makes a Logger of a slog.Logger. The event's name is the message.
func Slog(l *slog.Logger) Logger { return slogger{l} }

type slogger struct{ l *slog.Logger }

func (s slogger) Enabled(level Level) bool {
	return s.l.Enabled(context.Background(), slog.Level(level))
}

func (s slogger) Log(level Level, event string, fields []Field) {
	attrs := make([]slog.Attr, len(fields))
	for i, f := range fields {
		if f.IsText {
			attrs[i] = slog.String(f.Key, printable(f.Text))
		} else {
			attrs[i] = slog.Int64(f.Key, f.Number)
		}
	}
	s.l.LogAttrs(context.Background(), slog.Level(level), event, attrs...)
}

// printable escapes the control characters from U+0080 to U+009F, which terminals
// obey and JSON lets through. The others are the encoders' business.
func printable(text string) string {
	obeyed := func(r rune) bool { return r >= 0x80 && r < 0xa0 }
	if !strings.ContainsFunc(text, obeyed) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if obeyed(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
