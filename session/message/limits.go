package message

import (
	"fmt"
	"unicode/utf8"
)

// Limits are what a Format allows, in both directions: what is refused in Parse is refused in
// Append, so that nobody sends what his like would not take. 0 means the default.
type Limits struct {
	// Depth is how many arrays and nested values may lie within each other. Default 32.
	Depth int

	// Values is how many values there may be, nested ones and elements of arrays
	// included. Default 65,536: an empty one takes a byte in some formats, and 50 to 100 in
	// memory.
	Values int

	// Bytes is how large an encoded message may be. Default 16 MiB, as for frames.
	Bytes int
}

// Defaults of Limits.
const (
	DefaultDepth  = 32
	DefaultValues = 64 << 10
	DefaultBytes  = 16 << 20
)

// NameMax is how long a name may be, bytes.
const NameMax = 1024

// CheckName tells whether s can be a key, or a name of the envelope: at most NameMax bytes of
// UTF-8, without control characters (U+0000 to U+001F, U+007F to U+009F) and without U+FFFE
// and U+FFFF. Every format can write such a text, and logs can show it. The error is a
// *NameError; what says of what the name is.
func CheckName(what, s string) error {
	if len(s) > NameMax {
		return &NameError{What: what, Name: s, Why: fmt.Sprintf("longer than %d bytes", NameMax)}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7F {
			return checkRunes(what, s)
		}
	}
	return nil
}

// checkRunes is CheckName for texts that are not all of ASCII's printable characters.
func checkRunes(what, s string) error {
	if !utf8.ValidString(s) {
		return &NameError{What: what, Name: s, Why: "not UTF-8"}
	}
	for _, r := range s {
		switch {
		case r < ' ', r >= 0x7F && r < 0xA0:
			return &NameError{What: what, Name: s, Why: "has a control character"}
		case r == 0xFFFE, r == 0xFFFF:
			return &NameError{What: what, Name: s, Why: "has U+FFFE or U+FFFF"}
		}
	}
	return nil
}

// Budget is what is left of Limits for one message, for those who write a Format. Its errors
// are *LimitError.
type Budget struct {
	limits               Limits
	depth, values, bytes int // used
}

// Budget returns a full one.
func (l Limits) Budget() Budget {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Values <= 0 {
		l.Values = DefaultValues
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	return Budget{limits: l}
}

// Bytes takes n bytes: in Parse once, all there are; in Append of every text before it is
// written, and Encoded checks the whole.
func (b *Budget) Bytes(n int) error {
	if n > b.limits.Bytes-b.bytes {
		return &LimitError{What: "bytes", Limit: b.limits.Bytes}
	}
	b.bytes += n
	return nil
}

// Encoded checks how many bytes a message has become.
func (b *Budget) Encoded(n int) error {
	if n > b.limits.Bytes {
		return &LimitError{What: "bytes", Limit: b.limits.Bytes}
	}
	return nil
}

// Values takes n values, which must not be negative.
func (b *Budget) Values(n int) error {
	if n > b.limits.Values-b.values {
		return b.TooMany()
	}
	b.values += n
	return nil
}

// Enter goes into an array, or into nested values; Leave is to follow if there is no error.
func (b *Budget) Enter() error {
	if b.depth >= b.limits.Depth {
		return b.TooDeep()
	}
	b.depth++
	return nil
}

// TooMany returns the error for more values than allowed, for those who count otherwise.
func (b *Budget) TooMany() error { return &LimitError{What: "values", Limit: b.limits.Values} }

// TooDeep returns the error for more depth than allowed.
func (b *Budget) TooDeep() error { return &LimitError{What: "depth", Limit: b.limits.Depth} }

// Leave undoes Enter.
func (b *Budget) Leave() { b.depth-- }

// Check tells what of an envelope no format can send: names that are none, with a *NameError,
// or a kind that is none.
func (h *Header) Check() error {
	if int(h.Kind) >= Kinds {
		return fmt.Errorf("unknown kind %d", h.Kind)
	}
	if err := CheckName("type", h.Type); err != nil {
		return err
	}
	if err := CheckName("source", h.Source); err != nil {
		return err
	}
	return CheckName("target", h.Target)
}
