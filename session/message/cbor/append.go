package cbor

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/weirnet/weir/session/message"
)

// Append appends m to dst.
func (f *Format) Append(dst []byte, m *message.Message) ([]byte, error) {
	w := writer{budget: f.limits.Budget(), out: dst}
	err := w.message(m)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, &message.FormatError{Format: "cbor", Err: err}
	}
	return w.out, nil
}

type writer struct {
	budget message.Budget
	out    []byte
}

// head writes a major type and its number, in the fewest bytes.
func (w *writer) head(major byte, n uint64) {
	switch {
	case n < 24:
		w.out = append(w.out, major|byte(n))
	case n <= math.MaxUint8:
		w.out = append(w.out, major|24, byte(n))
	case n <= math.MaxUint16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, major|25), uint16(n))
	case n <= math.MaxUint32:
		w.out = binary.BigEndian.AppendUint32(append(w.out, major|26), uint32(n))
	default:
		w.out = binary.BigEndian.AppendUint64(append(w.out, major|27), n)
	}
}

func (w *writer) bytes(major byte, s string) {
	w.head(major, uint64(len(s)))
	w.out = append(w.out, s...)
}

func (w *writer) message(m *message.Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	w.head(array, envelope)
	w.head(unsigned, uint64(m.Kind))
	w.bytes(text, m.Type)
	w.bytes(text, m.Source)
	w.bytes(text, m.Target)
	w.head(unsigned, m.Correlation)
	w.head(unsigned, uint64(m.Version))
	return w.values(&m.Values)
}

func (w *writer) values(v *message.Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	w.head(mapping, uint64(v.Len()))
	for key, value := range v.All() {
		err := message.CheckName("key", key)
		if err == nil {
			w.bytes(text, key)
			err = w.value(value)
		}
		if err != nil {
			return message.AtKey(key, err)
		}
	}
	return nil
}

// value writes v. The errors of the conversions are those of other types than v's.
func (w *writer) value(v message.Value) error {
	switch v.Type() {
	case message.TypeNull:
		w.out = append(w.out, isNull)
	case message.TypeBool:
		b, _ := v.AsBool()
		if b {
			w.out = append(w.out, isTrue)
		} else {
			w.out = append(w.out, isFalse)
		}
	case message.TypeInt:
		n, _ := v.AsInt()
		if n >= 0 {
			w.head(unsigned, uint64(n))
		} else {
			w.head(negative, uint64(^n))
		}
	case message.TypeUint:
		n, _ := v.AsUint()
		if n <= math.MaxInt64 {
			w.head(tag, Tag)
		}
		w.head(unsigned, n)
	case message.TypeFloat:
		x, _ := v.AsFloat()
		w.out = binary.BigEndian.AppendUint64(append(w.out, isFloat64), math.Float64bits(x))
	case message.TypeString, message.TypeBytes:
		return w.text(v)
	case message.TypeValues, message.TypeArray:
		return w.within(v)
	}
	return nil
}

func (w *writer) text(v message.Value) error {
	s := v.Text()
	if err := w.budget.Bytes(len(s)); err != nil {
		return err
	}
	switch {
	case v.Type() == message.TypeBytes:
		w.bytes(byteString, s)
	case utf8.ValidString(s):
		w.bytes(text, s)
	default:
		w.head(tag, Tag)
		w.bytes(byteString, s)
	}
	return nil
}

// within writes nested values or an array.
func (w *writer) within(v message.Value) error {
	if err := w.budget.Enter(); err != nil {
		return err
	}
	if v.Type() == message.TypeValues {
		nested, _ := v.AsValues()
		if err := w.values(nested); err != nil {
			return err
		}
		w.budget.Leave()
		return nil
	}
	items, _ := v.AsArray()
	if err := w.budget.Values(len(items)); err != nil {
		return err
	}
	w.head(array, uint64(len(items)))
	for i, item := range items {
		if err := w.value(item); err != nil {
			return message.AtIndex(i, err)
		}
	}
	w.budget.Leave()
	return nil
}
