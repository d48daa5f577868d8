package message

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse makes m the message that is all of p. Its strings share one copy of p, as far as they
// are written without escapes.
func (f JSON) Parse(p []byte, m *Message) error {
	m.Reset()
	r := jsonReader{budget: f.Limits.Budget()}
	err := r.budget.Bytes(len(p))
	if err == nil {
		r.in = string(p)
		err = r.message(m)
	}
	if err != nil {
		m.Reset()
		return &FormatError{Format: "json", Parse: true, Offset: r.at, Err: err}
	}
	return nil
}

// jsonReader is where in a text a parser is.
type jsonReader struct {
	budget Budget
	in     string
	at     int
}

// peek skips spaces and returns what comes next, 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// unexpected tells that what comes next is not what has to come.
func (r *jsonReader) unexpected(want string) error {
	if r.at >= len(r.in) {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s, want %s", quote(r.in[r.at:min(r.at+1, len(r.in))]), want)
}

// take takes c, behind any spaces.
func (r *jsonReader) take(c byte) error {
	if r.peek() != c || r.at >= len(r.in) {
		return r.unexpected(strconv.QuoteRune(rune(c)))
	}
	r.at++
	return nil
}

// more tells whether another member or element follows; first, that none has been. It takes
// the comma, or the closing bracket.
func (r *jsonReader) more(closing byte, first bool) (bool, error) {
	switch c := r.peek(); {
	case c == closing:
		r.at++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		r.at++
		return true, nil
	}
	return false, r.unexpected("',' or " + strconv.QuoteRune(rune(closing)))
}

// key takes a member's key and the colon.
func (r *jsonReader) key() (string, error) {
	if r.peek() != '"' {
		return "", r.unexpected("a key")
	}
	key, err := r.text()
	if err != nil {
		return "", err
	}
	return key, r.take(':')
}

func (r *jsonReader) message(m *Message) error {
	if err := r.take('{'); err != nil {
		return err
	}
	var seen [7]bool
	for first := true; ; first = false {
		more, err := r.more('}', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := r.key()
		if err != nil {
			return err
		}
		which, err := r.member(m, key)
		if err == nil && seen[which] {
			err = errors.New("twice")
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", quote(key), err)
		}
		seen[which] = true
	}
	if r.peek(); r.at < len(r.in) {
		return fmt.Errorf("%d bytes behind the message", len(r.in)-r.at)
	}
	return m.Header.Check()
}

// member takes what a member of the envelope says, and tells which one it is.
func (r *jsonReader) member(m *Message, key string) (which int, err error) {
	r.peek()
	switch key {
	case "kind":
		name, err := r.string()
		if err != nil {
			return 0, err
		}
		kind, ok := KindOf(name)
		if !ok {
			return 0, fmt.Errorf("%s is no kind", quote(name))
		}
		m.Kind = kind
		return 0, nil
	case "type":
		m.Type, err = r.string()
		return 1, err
	case "source":
		m.Source, err = r.string()
		return 2, err
	case "target":
		m.Target, err = r.string()
		return 3, err
	case "correlation":
		m.Correlation, err = r.natural(64)
		return 4, err
	case "version":
		n, err := r.natural(32)
		m.Version = uint32(n)
		return 5, err
	case "values":
		if m.Len() > 0 {
			return 6, nil // the caller finds that it was there
		}
		if r.peek() != '{' {
			return 6, r.unexpected("an object")
		}
		r.at++
		return 6, r.literal(&m.Values)
	}
	return 0, errors.New("unknown")
}

// string takes a text that has to come.
func (r *jsonReader) string() (string, error) {
	if r.peek() != '"' {
		return "", r.unexpected("a string")
	}
	return r.text()
}

// natural takes a number from 0 on, as such or as a text.
func (r *jsonReader) natural(bits int) (uint64, error) {
	digits := ""
	if r.peek() == '"' {
		var err error
		if digits, err = r.text(); err != nil {
			return 0, err
		}
	} else {
		var err error
		if digits, _, err = r.digits(); err != nil {
			return 0, err
		}
	}
	n, err := parseUint(digits, bits)
	return n, err
}

// parseUint reads a number as this package writes it: digits, and no zeros before them.
func parseUint(s string, bits int) (uint64, error) {
	if len(s) > 1 && s[0] == '0' || s != "" && s[0] == '+' {
		return 0, fmt.Errorf("%s is no number as it has to be written", quote(s))
	}
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s is no integer from 0 to %d", quote(s), uint64(math.MaxUint64)>>(64-bits))
	}
	return n, nil
}

// parseInt is parseUint for int64.
func parseInt(s string) (int64, error) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 1 && digits[0] == '0' || digits == "" || digits[0] == '+' || digits[0] == '-' {
		return 0, fmt.Errorf("%s is no number as it has to be written", quote(s))
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is no integer of 64 bits", quote(s))
	}
	return n, nil
}

// parseBits reads 16 hexadecimal digits, the bits of a float.
func parseBits(s string) (Value, error) {
	bits, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return Value{}, fmt.Errorf("%s is not 16 hexadecimal digits", quote(s))
	}
	return Value{typ: TypeFloat, bits: bits}, nil
}

// parseBase64 reads standard base64 with padding, and nothing else.
func parseBase64(s string, typ ValueType) (Value, error) {
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' {
			return Value{}, errors.New("line break in base64")
		}
	}
	p, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return Value{}, err
	}
	return Value{typ: typ, text: string(p)}, nil
}

// literal takes the members of an object that are values, whatever their keys are; the
// opening bracket is gone.
func (r *jsonReader) literal(v *Values) error {
	for first := true; ; first = false {
		more, err := r.more('}', first)
		if err != nil || !more {
			return err
		}
		key, err := r.key()
		if err != nil {
			return err
		}
		if err := r.field(v, key); err != nil {
			return err
		}
	}
}

// field takes a value and adds it under key.
func (r *jsonReader) field(v *Values, key string) error {
	err := r.budget.Values(1)
	if err == nil {
		var value Value
		if value, err = r.value(); err == nil {
			err = v.Add(key, value)
		}
	}
	if err != nil {
		return AtKey(key, err)
	}
	return nil
}

func (r *jsonReader) value() (Value, error) {
	switch c := r.peek(); {
	case c == '"':
		s, err := r.text()
		return String(s), err
	case c == '{':
		r.at++
		return r.object()
	case c == '[':
		r.at++
		return r.array()
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, word := range [...]struct {
		text  string
		value Value
	}{{"null", Value{}}, {"true", Bool(true)}, {"false", Bool(false)}} {
		if strings.HasPrefix(r.in[r.at:], word.text) {
			r.at += len(word.text)
			return word.value, nil
		}
	}
	return Value{}, r.unexpected("a value")
}

// digits takes a number as JSON's grammar has it, and tells whether it is an integer.
func (r *jsonReader) digits() (text string, integer bool, err error) {
	start := r.at
	if r.is('-') {
		r.at++
	}
	switch {
	case r.is('0'):
		r.at++
	case r.run() == 0:
		return "", false, r.unexpected("a digit")
	}
	integer = true
	if r.is('.') {
		integer = false
		r.at++
		if r.run() == 0 {
			return "", false, r.unexpected("a digit")
		}
	}
	if r.is('e') || r.is('E') {
		integer = false
		r.at++
		if r.is('+') || r.is('-') {
			r.at++
		}
		if r.run() == 0 {
			return "", false, r.unexpected("a digit")
		}
	}
	return r.in[start:r.at], integer, nil
}

func (r *jsonReader) is(c byte) bool { return r.at < len(r.in) && r.in[r.at] == c }

// run takes digits and tells how many.
func (r *jsonReader) run() int {
	start := r.at
	for r.at < len(r.in) && r.in[r.at] >= '0' && r.in[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}

func (r *jsonReader) number() (Value, error) {
	text, integer, err := r.digits()
	if err != nil {
		return Value{}, err
	}
	if !integer {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return Value{}, fmt.Errorf("%s is no float of 64 bits", quote(text))
		}
		return Float(f), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Int(n), nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return Uint(n), nil
	}
	return Value{}, fmt.Errorf("%s is no integer of 64 bits", quote(text))
}

func (r *jsonReader) array() (Value, error) {
	if err := r.budget.Enter(); err != nil {
		return Value{}, err
	}
	v := Array()
	for first := true; ; first = false {
		more, err := r.more(']', first)
		if err != nil {
			return v, err
		}
		if !more {
			r.budget.Leave()
			return v, nil
		}
		at := len(*v.items)
		err = r.budget.Values(1)
		if err == nil {
			var item Value
			item, err = r.value()
			*v.items = append(*v.items, item)
		}
		if err != nil {
			return v, AtIndex(at, err)
		}
	}
}

// object takes nested values, or what a sign says; the opening bracket is gone.
func (r *jsonReader) object() (Value, error) {
	v := Nested(nil)
	entered := false
	for first := true; ; first = false {
		more, err := r.more('}', first)
		if err != nil {
			return v, err
		}
		key := ""
		if more {
			if key, err = r.key(); err != nil {
				return v, err
			}
		}
		if isSign(key) {
			if !first {
				return v, fmt.Errorf("%s among other keys", quote(key))
			}
			if v, err = r.signed(key); err == nil {
				err = r.take('}')
			}
			return v, err
		}
		if !entered {
			if err := r.budget.Enter(); err != nil {
				return v, err
			}
			entered = true
		}
		if !more {
			r.budget.Leave()
			return v, nil
		}
		if err := r.field(v.nested, key); err != nil {
			return v, err
		}
	}
}

// signed takes what follows a sign.
func (r *jsonReader) signed(sign string) (Value, error) {
	if sign == "$values" {
		if err := r.budget.Enter(); err != nil {
			return Value{}, err
		}
		if err := r.take('{'); err != nil {
			return Value{}, err
		}
		v := Nested(nil)
		err := r.literal(v.nested)
		r.budget.Leave()
		return v, err
	}
	text, err := r.string()
	if err != nil {
		return Value{}, err
	}
	v := Value{}
	switch sign {
	case "$int":
		var n int64
		n, err = parseInt(text)
		v = Int(n)
	case "$uint":
		var n uint64
		n, err = parseUint(text, 64)
		v = Uint(n)
	case "$float":
		v, err = parseBits(text)
	case "$string":
		v, err = parseBase64(text, TypeString)
	case "$bytes":
		v, err = parseBase64(text, TypeBytes)
	default:
		err = errors.New("unknown sign")
	}
	if err != nil {
		return v, fmt.Errorf("%s: %w", quote(sign), err)
	}
	return v, nil
}

// text takes a string; its quotation mark comes next.
func (r *jsonReader) text() (string, error) {
	r.at++
	start := r.at
	for ; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; {
		case c == '"':
			s := r.in[start:r.at]
			if !utf8.ValidString(s) {
				return "", errors.New("not UTF-8")
			}
			r.at++
			return s, nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return "", fmt.Errorf("control character U+%04X in a string", c)
		}
	}
	return "", io.ErrUnexpectedEOF
}

// escaped takes a string that has escapes; the first is where r is.
func (r *jsonReader) escaped(start int) (string, error) {
	out := []byte(r.in[start:r.at])
	for r.at < len(r.in) {
		c := r.in[r.at]
		r.at++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", errors.New("not UTF-8")
			}
			return string(out), nil
		case c < ' ':
			return "", fmt.Errorf("control character U+%04X in a string", c)
		case c != '\\':
			out = append(out, c)
			continue
		}
		char, err := r.escape()
		if err != nil {
			return "", err
		}
		out = utf8.AppendRune(out, char)
	}
	return "", io.ErrUnexpectedEOF
}

// escape takes what follows a backslash.
func (r *jsonReader) escape() (rune, error) {
	if r.at >= len(r.in) {
		return 0, io.ErrUnexpectedEOF
	}
	c := r.in[r.at]
	r.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return r.unicode()
	}
	return 0, fmt.Errorf("unknown escape %s", quote(`\`+string(rune(c))))
}

// unicode takes four hexadecimal digits, and four more behind the first half of a pair.
func (r *jsonReader) unicode() (rune, error) {
	high, err := r.unit()
	if err != nil || !utf16.IsSurrogate(high) {
		return high, err
	}
	if strings.HasPrefix(r.in[r.at:], `\u`) {
		r.at += len(`\u`)
		low, err := r.unit()
		if err != nil {
			return 0, err
		}
		if char := utf16.DecodeRune(high, low); char != utf8.RuneError {
			return char, nil
		}
	}
	return 0, fmt.Errorf("half of a surrogate pair, U+%04X", high)
}

func (r *jsonReader) unit() (rune, error) {
	if len(r.in)-r.at < 4 {
		return 0, io.ErrUnexpectedEOF
	}
	digits := r.in[r.at : r.at+4]
	n, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return 0, fmt.Errorf("%s is not 4 hexadecimal digits", quote(digits))
	}
	r.at += 4
	return rune(n), nil
}
