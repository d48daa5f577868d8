package frame

import (
	"errors"
	"fmt"
)

// What can be wrong with a frame. Test with errors.Is; the error itself is an
// *Error, which has the numbers.
var (
	// ErrTooLarge: the payload has, or is announced to have, more bytes than the
	// codec allows.
	ErrTooLarge = errors.New("frame: too large")

	// ErrBadLength: the number before the payload can not be right, and whoever
	// sent it does not speak this protocol; or Head was given a payload too short
	// for a number that leaves some of it uncounted.
	ErrBadLength = errors.New("frame: bad length")

	// ErrDelimiter: the payload contains the delimiter, or would together with
	// the one that follows, so that it would be cut in the wrong place; or it is
	// a line that ends with '\r', which would be cut off.
	ErrDelimiter = errors.New("frame: delimiter in the payload")

	// ErrSize: the payload has not the size that all frames of the codec have.
	ErrSize = errors.New("frame: wrong size")
)

// Error tells why something is no frame. A stream in which Cut finds one can not
// be cut any further: nobody knows where its next frame begins.
type Error struct {
	// Err is ErrTooLarge, ErrBadLength, ErrDelimiter or ErrSize.
	Err error

	// Length is what was found: bytes of payload; with ErrBadLength from Cut the
	// number that was read. It is 0 where that is not known, because no delimiter
	// came or no number could be read.
	Length uint64

	// Limit is what Length must not exceed; with ErrBadLength the least that it
	// must be, with ErrSize what it must be. It is 0 where there is no limit.
	Limit uint64

	// Detail says in words what the numbers do not.
	Detail string
}

// Error names the kind and the numbers.
func (e *Error) Error() string {
	text := e.Err.Error()
	switch {
	case e.Detail != "":
		return text + ": " + e.Detail
	case e.Err == ErrTooLarge && e.Length == 0:
		return fmt.Sprintf("%s: no delimiter behind at most %d bytes", text, e.Limit)
	case e.Err == ErrTooLarge:
		return fmt.Sprintf("%s: %d bytes, at most %d", text, e.Length, e.Limit)
	case e.Err == ErrBadLength:
		return fmt.Sprintf("%s: %d, at least %d", text, e.Length, e.Limit)
	case e.Err == ErrSize:
		return fmt.Sprintf("%s: %d bytes, not %d", text, e.Length, e.Limit)
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// ConfigError tells why there is no such codec.
type ConfigError struct {
	Field string // as in the source: "LengthPrefix.Width"
	Value any
	Why   string
}

// Error names the field and the value. A string is quoted.
func (e *ConfigError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("frame: %s: %q: %s", e.Field, s, e.Why)
	}
	return fmt.Sprintf("frame: %s: %v: %s", e.Field, e.Value, e.Why)
}
