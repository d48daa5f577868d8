package msgpack

import (
	"errors"
	"io"

	"github.com/weirnet/weir/session/message"
)

// Types of extensions.
const (
	ExtUint   = 1 // a uint
	ExtString = 2 // a string that is not UTF-8
)

// envelope is how many elements a message has.
const envelope = 7

// Format is a message.Format. The zero Format has the default limits.
type Format struct {
	Limits message.Limits
}

// failure returns err as a *message.FormatError. That something ends early is unexpected
// wherever it is found.
func failure(parse bool, offset int, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &message.FormatError{Format: "msgpack", Parse: parse, Offset: offset, Err: err}
}
