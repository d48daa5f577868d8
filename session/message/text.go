package message

// How messages and values look in logs.

import (
	"fmt"
	"strconv"
)

// textMax is how many bytes of a peer's text an error or a log line quotes.
const textMax = 64

// quote returns s in quotation marks, with what cannot be printed escaped, and cut off if it
// is long.
func quote(s string) string {
	if len(s) <= textMax {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:textMax], len(s))
}

func (m *Message) appendText(dst []byte) []byte {
	dst = fmt.Appendf(dst, "%v %s", m.Kind, quote(m.Type))
	if m.Source != "" {
		dst = fmt.Appendf(dst, " from %s", quote(m.Source))
	}
	if m.Target != "" {
		dst = fmt.Appendf(dst, " to %s", quote(m.Target))
	}
	if m.Correlation != 0 {
		dst = fmt.Appendf(dst, " correlation %d", m.Correlation)
	}
	if m.Version != 0 {
		dst = fmt.Appendf(dst, " version %d", m.Version)
	}
	return fmt.Appendf(dst, ", %d values", m.Len())
}

// String is for logs: the value, or for what may be large its size. Strings are quoted.
func (v Value) String() string {
	switch v.typ {
	case TypeNull:
		return "null"
	case TypeBool:
		return strconv.FormatBool(v.bits != 0)
	case TypeInt:
		return strconv.FormatInt(int64(v.bits), 10)
	case TypeUint:
		return strconv.FormatUint(v.bits, 10)
	case TypeFloat:
		return strconv.FormatFloat(v.float(), 'g', -1, 64)
	case TypeString:
		return quote(v.text)
	case TypeBytes:
		return fmt.Sprintf("%d bytes", len(v.text))
	case TypeValues:
		return fmt.Sprintf("%d values", v.nested.Len())
	case TypeArray:
		return fmt.Sprintf("array of %d", len(*v.items))
	}
	return "invalid"
}
