package message

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// XML writes a message as an element, without spaces or a declaration:
//
//	<message kind="request" type="order"><string key="symbol">WEIR</string><int key="count">3</int></message>
//
// Attributes that say nothing are left out, a kind of event too. A value is an element named as
// its type; elements of an array have no key. A float that is not finite has its 64 bits as an
// attribute, bits="7ff8000000000001"; bytes are base64, and so is a string, encoding="base64",
// with characters that XML cannot have or that are not UTF-8.
//
// Spaces between elements, comments, character references and the order of attributes are the
// sender's choice. Document type declarations are refused, and with them all entities but
// XML's own five.
type XML struct {
	Limits Limits
}

// Append appends m to dst.
func (f XML) Append(dst []byte, m *Message) ([]byte, error) {
	w := xmlWriter{budget: f.Limits.Budget(), out: dst}
	err := w.message(m)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, &FormatError{Format: "xml", Err: err}
	}
	return w.out, nil
}

type xmlWriter struct {
	budget Budget
	out    []byte
}

func (w *xmlWriter) message(m *Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	w.out = append(w.out, "<message"...)
	if m.Kind != KindEvent {
		w.attribute("kind", m.Kind.String())
	}
	for _, name := range [...]struct{ key, text string }{{"type", m.Type}, {"source", m.Source}, {"target", m.Target}} {
		if name.text != "" {
			w.attribute(name.key, name.text)
		}
	}
	w.number("correlation", m.Correlation)
	w.number("version", uint64(m.Version))
	w.out = append(w.out, '>')
	if err := w.values(&m.Values); err != nil {
		return err
	}
	w.out = append(w.out, "</message>"...)
	return nil
}

func (w *xmlWriter) attribute(name, text string) {
	w.open(name)
	w.text(text)
	w.out = append(w.out, '"')
}

// number writes an attribute, unless n is 0.
func (w *xmlWriter) number(name string, n uint64) {
	if n != 0 {
		w.open(name)
		w.out = append(strconv.AppendUint(w.out, n, 10), '"')
	}
}

// open begins an attribute.
func (w *xmlWriter) open(name string) {
	w.out = append(w.out, ' ')
	w.out = append(w.out, name...)
	w.out = append(w.out, `="`...)
}

// text writes s, whose characters XML can have, for an attribute or between tags.
func (w *xmlWriter) text(s string) {
	done := 0
	for i := range len(s) {
		instead := ""
		switch s[i] {
		case '&':
			instead = "&amp;"
		case '<':
			instead = "&lt;"
		case '>':
			instead = "&gt;"
		case '"':
			instead = "&quot;"
		case '\r':
			instead = "&#13;" // as such it would be read as \n
		default:
			continue
		}
		w.out = append(w.out, s[done:i]...)
		w.out = append(w.out, instead...)
		done = i + 1
	}
	w.out = append(w.out, s[done:]...)
}

func (w *xmlWriter) values(v *Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	for i := range v.fields {
		f := &v.fields[i]
		err := CheckName("key", f.key)
		if err == nil {
			err = w.value(&f.value, &f.key)
		}
		if err != nil {
			return AtKey(f.key, err)
		}
	}
	return nil
}

// value writes an element; key is nil in an array.
func (w *xmlWriter) value(v *Value, key *string) error {
	name := v.typ.String()
	w.out = append(w.out, '<')
	w.out = append(w.out, name...)
	if key != nil {
		w.attribute("key", *key)
	}
	if err := w.content(v); err != nil {
		return err
	}
	w.out = append(w.out, "</"...)
	w.out = append(w.out, name...)
	w.out = append(w.out, '>')
	return nil
}

// content writes the rest of the opening tag, and what stands behind it.
func (w *xmlWriter) content(v *Value) error {
	switch v.typ {
	case TypeFloat:
		if f := v.float(); math.IsNaN(f) || math.IsInf(f, 0) {
			w.out = append(w.out, ` bits="`...)
			w.out = appendBits(w.out, v.bits)
			w.out = append(w.out, `">`...)
			return nil
		}
	case TypeString, TypeBytes:
		if err := w.budget.Bytes(len(v.text)); err != nil {
			return err
		}
		if v.typ == TypeString && !xmlCanHave(v.text) {
			w.out = append(w.out, ` encoding="base64">`...)
			w.out = appendBase64(w.out, v.text)
			return nil
		}
	}
	w.out = append(w.out, '>')
	switch v.typ {
	case TypeBool:
		w.out = strconv.AppendBool(w.out, v.bits != 0)
	case TypeInt:
		w.out = strconv.AppendInt(w.out, int64(v.bits), 10)
	case TypeUint:
		w.out = strconv.AppendUint(w.out, v.bits, 10)
	case TypeFloat:
		w.out = appendFloat(w.out, v.float())
	case TypeString:
		w.text(v.text)
	case TypeBytes:
		w.out = appendBase64(w.out, v.text)
	case TypeValues, TypeArray:
		return w.within(v)
	}
	return nil
}

func (w *xmlWriter) within(v *Value) error {
	if err := w.budget.Enter(); err != nil {
		return err
	}
	if v.typ == TypeValues {
		if err := w.values(v.nested); err != nil {
			return err
		}
		w.budget.Leave()
		return nil
	}
	if err := w.budget.Values(len(*v.items)); err != nil {
		return err
	}
	for i := range *v.items {
		if err := w.value(&(*v.items)[i], nil); err != nil {
			return AtIndex(i, err)
		}
	}
	w.budget.Leave()
	return nil
}

// xmlCanHave tells whether s is UTF-8 and made of characters that XML allows. U+0085 and
// U+2028 are line ends to XML 1.1, which nobody should be tempted to turn into others.
func xmlCanHave(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF, r == 0x85, r == 0x2028:
			return false
		}
	}
	return true
}
