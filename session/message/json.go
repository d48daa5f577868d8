package message

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// JSON writes a message as an object, without spaces:
//
//	{"kind":"request","type":"order","correlation":300,"values":{"symbol":"WEIR","count":3}}
//
// Members that say nothing are left out, a kind of event too. What JSON has no way to write is
// an object with one key, which is a sign:
//
//	{"$uint":"5"}                      a uint; text, since many programs round large numbers
//	{"$int":"9007199254740993"}        an int beyond 53 bits
//	{"$float":"7ff8000000000001"}      a NaN or an infinity: its 64 bits
//	{"$string":"/w=="}                 a string that is not UTF-8, in base64
//	{"$bytes":"AAEC"}                  bytes
//	{"$values":{"$uint":5}}            nested values of which a key begins with $
//
// A number with a point or an exponent is a float, one without is an int; or a uint if it is too
// large for that. Spaces, escapes and the order of an envelope's members are the sender's
// choice; unknown members, a key twice, and half of a surrogate pair are refused.
type JSON struct {
	Limits Limits
}

// exactMax is the largest integer that all programs read exactly, as JSON's numbers are floats
// to many.
const exactMax = 1<<53 - 1

// Append appends m to dst.
func (f JSON) Append(dst []byte, m *Message) ([]byte, error) {
	w := jsonWriter{budget: f.Limits.Budget(), out: dst}
	err := w.message(m)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, &FormatError{Format: "json", Err: err}
	}
	return w.out, nil
}

type jsonWriter struct {
	budget Budget
	out    []byte
}

func (w *jsonWriter) message(m *Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	w.out = append(w.out, '{')
	empty := len(w.out)
	if m.Kind != KindEvent {
		w.member("kind", empty)
		w.quoted(m.Kind.String())
	}
	for _, name := range [...]struct{ key, text string }{{"type", m.Type}, {"source", m.Source}, {"target", m.Target}} {
		if name.text != "" {
			w.member(name.key, empty)
			w.quoted(name.text)
		}
	}
	if m.Correlation != 0 {
		w.member("correlation", empty)
		if m.Correlation <= exactMax {
			w.out = strconv.AppendUint(w.out, m.Correlation, 10)
		} else {
			w.out = append(strconv.AppendUint(append(w.out, '"'), m.Correlation, 10), '"')
		}
	}
	if m.Version != 0 {
		w.member("version", empty)
		w.out = strconv.AppendUint(w.out, uint64(m.Version), 10)
	}
	if m.Len() > 0 {
		w.member("values", empty)
		if err := w.values(&m.Values); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// member begins a member of the envelope; empty is where the first one begins.
func (w *jsonWriter) member(key string, empty int) {
	if len(w.out) > empty {
		w.out = append(w.out, ',')
	}
	w.quoted(key)
	w.out = append(w.out, ':')
}

func (w *jsonWriter) values(v *Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	w.out = append(w.out, '{')
	for i := range v.fields {
		f := &v.fields[i]
		err := CheckName("key", f.key)
		if err == nil {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.quoted(f.key)
			w.out = append(w.out, ':')
			err = w.value(&f.value)
		}
		if err != nil {
			return AtKey(f.key, err)
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *jsonWriter) value(v *Value) error {
	switch v.typ {
	case TypeNull:
		w.out = append(w.out, "null"...)
	case TypeBool:
		w.out = strconv.AppendBool(w.out, v.bits != 0)
	case TypeInt:
		w.int(int64(v.bits))
	case TypeUint:
		w.out = append(w.out, `{"$uint":"`...)
		w.out = strconv.AppendUint(w.out, v.bits, 10)
		w.out = append(w.out, `"}`...)
	case TypeFloat:
		w.float(v.float())
	case TypeString, TypeBytes:
		if err := w.budget.Bytes(len(v.text)); err != nil {
			return err
		}
		switch {
		case v.typ == TypeBytes:
			w.base64(`{"$bytes":"`, v.text)
		case !utf8.ValidString(v.text):
			w.base64(`{"$string":"`, v.text)
		default:
			w.quoted(v.text)
		}
	case TypeValues:
		return w.nested(v.nested)
	case TypeArray:
		return w.array(*v.items)
	}
	return nil
}

func (w *jsonWriter) int(n int64) {
	if n >= -exactMax && n <= exactMax {
		w.out = strconv.AppendInt(w.out, n, 10)
		return
	}
	w.out = append(w.out, `{"$int":"`...)
	w.out = strconv.AppendInt(w.out, n, 10)
	w.out = append(w.out, `"}`...)
}

// float writes the shortest number that is read as f, and as a float.
func (w *jsonWriter) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.out = append(w.out, `{"$float":"`...)
		w.out = appendBits(w.out, math.Float64bits(f))
		w.out = append(w.out, `"}`...)
		return
	}
	w.out = appendFloat(w.out, f)
}

// appendFloat appends the shortest number that is read as f, which is finite, with a point or
// an exponent.
func appendFloat(dst []byte, f float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendBits appends 16 hexadecimal digits.
func appendBits(dst []byte, bits uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[bits>>shift&0xF])
	}
	return dst
}

const hexDigits = "0123456789abcdef"

func (w *jsonWriter) base64(before, text string) {
	w.out = append(w.out, before...)
	w.out = appendBase64(w.out, text)
	w.out = append(w.out, `"}`...)
}

// appendBase64 appends text in standard base64, with padding.
func appendBase64(dst []byte, text string) []byte {
	return base64.StdEncoding.AppendEncode(dst, []byte(text))
}

// quoted writes s, which is UTF-8.
func (w *jsonWriter) quoted(s string) {
	w.out = append(w.out, '"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7F {
			continue
		}
		w.out = append(w.out, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			w.out = append(w.out, '\\', c)
		case '\n':
			w.out = append(w.out, `\n`...)
		case '\r':
			w.out = append(w.out, `\r`...)
		case '\t':
			w.out = append(w.out, `\t`...)
		default:
			w.out = append(w.out, `\u00`...)
			w.out = append(w.out, hexDigits[c>>4], hexDigits[c&0xF])
		}
	}
	w.out = append(w.out, s[done:]...)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) nested(v *Values) error {
	if err := w.budget.Enter(); err != nil {
		return err
	}
	signed := false
	for i := range v.fields {
		signed = signed || isSign(v.fields[i].key)
	}
	if signed {
		w.out = append(w.out, `{"$values":`...)
	}
	if err := w.values(v); err != nil {
		return err
	}
	if signed {
		w.out = append(w.out, '}')
	}
	w.budget.Leave()
	return nil
}

// isSign tells whether an object's key must not be taken as one of nested values.
func isSign(key string) bool { return key != "" && key[0] == '$' }

func (w *jsonWriter) array(items []Value) error {
	if err := w.budget.Enter(); err != nil {
		return err
	}
	if err := w.budget.Values(len(items)); err != nil {
		return err
	}
	w.out = append(w.out, '[')
	for i := range items {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(&items[i]); err != nil {
			return AtIndex(i, err)
		}
	}
	w.out = append(w.out, ']')
	w.budget.Leave()
	return nil
}
