package msgpack

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weirnet/weir/session/message"
)

// Append appends m to dst.
func (f Format) Append(dst []byte, m *message.Message) ([]byte, error) {
	w := writer{budget: f.Limits.Budget(), out: dst}
	w.to = msgpack.GetEncoder()
	defer msgpack.PutEncoder(w.to)
	w.to.Reset(&w)
	err := w.message(m)
	w.to.ResetWriter(nil)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, failure(false, 0, err)
	}
	return w.out, nil
}

// writer is where the library's encoder writes to. Writes do not fail, and so the encoder's
// methods for numbers and lengths do not.
type writer struct {
	budget message.Budget
	out    []byte
	to     *msgpack.Encoder
}

// Write appends p.
func (w *writer) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// WriteByte appends c.
func (w *writer) WriteByte(c byte) error {
	w.out = append(w.out, c)
	return nil
}

// text writes a string, which is UTF-8.
func (w *writer) text(s string) {
	_ = w.to.EncodeString(s)
}

func (w *writer) message(m *message.Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	_ = w.to.EncodeArrayLen(envelope)
	_ = w.to.EncodeUint(uint64(m.Kind))
	w.text(m.Type)
	w.text(m.Source)
	w.text(m.Target)
	_ = w.to.EncodeUint(m.Correlation)
	_ = w.to.EncodeUint(uint64(m.Version))
	return w.values(&m.Values)
}

func (w *writer) values(v *message.Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	_ = w.to.EncodeMapLen(v.Len())
	for key, value := range v.All() {
		err := message.CheckName("key", key)
		if err == nil {
			w.text(key)
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
		_ = w.to.EncodeNil()
	case message.TypeBool:
		b, _ := v.AsBool()
		_ = w.to.EncodeBool(b)
	case message.TypeInt:
		n, _ := v.AsInt()
		_ = w.to.EncodeInt(n)
	case message.TypeUint:
		n, _ := v.AsUint()
		if n > math.MaxInt64 {
			_ = w.to.EncodeUint(n)
			break
		}
		_ = w.to.EncodeExtHeader(ExtUint, 8)
		w.out = binary.BigEndian.AppendUint64(w.out, n)
	case message.TypeFloat:
		x, _ := v.AsFloat()
		_ = w.to.EncodeFloat64(x)
	case message.TypeString, message.TypeBytes:
		return w.string(v)
	case message.TypeValues, message.TypeArray:
		return w.within(v)
	}
	return nil
}

func (w *writer) string(v message.Value) error {
	s := v.Text()
	if err := w.budget.Bytes(len(s)); err != nil {
		return err
	}
	switch {
	case v.Type() == message.TypeBytes:
		_ = w.to.EncodeBytesLen(len(s))
		w.out = append(w.out, s...)
	case utf8.ValidString(s):
		w.text(s)
	default:
		_ = w.to.EncodeExtHeader(ExtString, len(s))
		w.out = append(w.out, s...)
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
	_ = w.to.EncodeArrayLen(len(items))
	for i, item := range items {
		if err := w.value(item); err != nil {
			return message.AtIndex(i, err)
		}
	}
	w.budget.Leave()
	return nil
}
