package cbor

import (
	"errors"

	"github.com/fxamacker/cbor/v2"

	"github.com/weirnet/weir/session/message"
)

// Tag makes a uint of an unsigned integer, and a text that is not UTF-8 of a byte string. It is
// "weir" as a number.
const Tag = 0x77656972

// Major types.
const (
	unsigned byte = iota << 5
	negative
	byteString
	text
	array
	mapping
	tag
	simple
)

// First bytes of major type simple.
const (
	isFalse   = simple | 20
	isTrue    = simple | 21
	isNull    = simple | 22
	isFloat16 = simple | 25
	isFloat32 = simple | 26
	isFloat64 = simple | 27
)

// envelope is how many elements a message has.
const envelope = 7

// Format is a message.Format. New makes one.
type Format struct {
	limits message.Limits
	check  cbor.DecMode
}

// New returns the format with the given limits; 0 means the default.
func New(limits message.Limits) *Format {
	depth, values := limits.Depth, limits.Values
	if depth <= 0 {
		depth = message.DefaultDepth
	}
	if values <= 0 {
		values = message.DefaultValues
	}
	check, err := cbor.DecOptions{
		IndefLength: cbor.IndefLengthForbidden,
		// These are a first check; the budget has the exact ones. The envelope and its
		// values are two levels, a tag is one.
		MaxNestedLevels:  within(depth, 3, 65535),
		MaxArrayElements: within(values, 16, 1<<31-1),
		MaxMapPairs:      within(values, 16, 1<<31-1),
	}.DecMode()
	if err != nil {
		panic(err) // the library has other bounds than when this was written
	}
	return &Format{limits: limits, check: check}
}

// within returns n and a few more, but no more than most.
func within(n, more, most int) int { return min(n, most-more) + more }

// limit returns the error for what a check of the library's means to us.
func (f *Format) limit(err error) error {
	budget := f.limits.Budget()
	var depth *cbor.MaxNestedLevelError
	var elements *cbor.MaxArrayElementsError
	var pairs *cbor.MaxMapPairsError
	switch {
	case errors.As(err, &depth):
		return budget.TooDeep()
	case errors.As(err, &elements), errors.As(err, &pairs):
		return budget.TooMany()
	}
	return err
}
