package message

import (
	"errors"
	"fmt"
)

// What can be wrong with a message. Test with errors.Is; the errors themselves are a
// *ValueError, *NameError, *LimitError or *FormatError.
var (
	// ErrMissing: there is no such key.
	ErrMissing = errors.New("message: no such key")

	// ErrType: the value has another type.
	ErrType = errors.New("message: wrong type")

	// ErrRange: the value is a number that the wanted type cannot be.
	ErrRange = errors.New("message: out of range")

	// ErrDuplicate: the key is there already.
	ErrDuplicate = errors.New("message: duplicate key")

	// ErrName: a key or a name of the envelope is not what CheckName wants.
	ErrName = errors.New("message: bad name")

	// ErrLimit: there is more of something than Limits allow.
	ErrLimit = errors.New("message: over the limit")

	// ErrMalformed: the bytes are no message of the format, and will not be one however
	// high the limits are.
	ErrMalformed = errors.New("message: malformed")
)

// ValueError tells why there is no value of the wanted type.
type ValueError struct {
	Key   string    // empty if the value is not one of a message's
	Want  ValueType // TypeNull if any would do
	Have  ValueType // TypeNull with ErrMissing
	Value string    // with ErrRange
	Err   error     // ErrMissing, ErrType, ErrRange or ErrDuplicate
}

// Error names the key and the types.
func (e *ValueError) Error() string {
	text := e.Err.Error()
	if e.Key != "" || e.Err == ErrMissing || e.Err == ErrDuplicate {
		text += " " + quote(e.Key)
	}
	switch e.Err {
	case ErrType:
		text += fmt.Sprintf(": have %v, want %v", e.Have, e.Want)
	case ErrRange:
		text += fmt.Sprintf(": have %v %s, want %v", e.Have, e.Value, e.Want)
	case ErrMissing:
		if e.Want != TypeNull {
			text += fmt.Sprintf(", want %v", e.Want)
		}
	}
	return text
}

// Unwrap returns Err.
func (e *ValueError) Unwrap() error { return e.Err }

// NameError tells what is wrong with a key or a name. It is ErrName.
type NameError struct {
	What string // "key", "type", "source" or "target"
	Name string
	Why  string
}

// Error quotes the name, or its beginning.
func (e *NameError) Error() string {
	return fmt.Sprintf("%v: %s %s: %s", ErrName, e.What, quote(e.Name), e.Why)
}

// Unwrap returns ErrName.
func (e *NameError) Unwrap() error { return ErrName }

// LimitError tells which limit a message exceeds. It is ErrLimit.
type LimitError struct {
	What  string // "depth", "values" or "bytes"
	Limit int    // what would have been allowed
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s, at most %d", ErrLimit, e.What, e.Limit)
}

// Unwrap returns ErrLimit.
func (e *LimitError) Unwrap() error { return ErrLimit }

// FormatError tells why a Format could not do its work.
type FormatError struct {
	Format string // "binary", "json", ...
	Parse  bool   // Parse failed, else Append
	Offset int    // of Parse: near which byte; -1 if that is not known
	Err    error
}

// Error names the format, the place and the cause.
func (e *FormatError) Error() string {
	text := "message: " + e.Format
	if e.Parse && e.Offset >= 0 {
		text += fmt.Sprintf(", byte %d", e.Offset)
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// Is reports whether target is ErrMalformed and Parse met something that no limit would have
// allowed.
func (e *FormatError) Is(target error) bool {
	return target == ErrMalformed && e.Parse && !errors.Is(e.Err, ErrLimit)
}

// PlaceError tells in which value of a message something is wrong.
type PlaceError struct {
	Path string // keys and indices, from the message to the value: "user"."tags"[2]
	Err  error
}

// Error names the path and the cause.
func (e *PlaceError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *PlaceError) Unwrap() error { return e.Err }

// pathMax is how long a path may become, bytes. What is nearest to the message is cut off.
const pathMax = 512

// AtKey returns err with the key of the value in which it happened, for Formats: called from
// the inner to the outer values it makes a path.
func AtKey(key string, err error) error { return at(quote(key), err) }

// AtIndex is AtKey for an element of an array.
func AtIndex(index int, err error) error { return at(fmt.Sprintf("[%d]", index), err) }

func at(step string, err error) error {
	e, ok := err.(*PlaceError)
	if !ok {
		return &PlaceError{Path: step, Err: err}
	}
	if len(e.Path) < pathMax {
		if e.Path[0] == '"' {
			step += "."
		}
		e.Path = step + e.Path
	}
	return e
}
