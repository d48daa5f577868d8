package protobuf

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirnet/weir/session/message"
)

// Append appends m to dst.
func (f Format) Append(dst []byte, m *message.Message) ([]byte, error) {
	w := writer{budget: f.Limits.Budget(), out: dst}
	err := w.message(m)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, &message.FormatError{Format: "protobuf", Err: err}
	}
	return w.out, nil
}

type writer struct {
	budget message.Budget
	out    []byte
}

func (w *writer) tag(field protowire.Number, typ protowire.Type) {
	w.out = protowire.AppendTag(w.out, field, typ)
}

func (w *writer) varint(field protowire.Number, n uint64) {
	w.tag(field, protowire.VarintType)
	w.out = protowire.AppendVarint(w.out, n)
}

func (w *writer) bytes(field protowire.Number, s string) {
	w.tag(field, protowire.BytesType)
	w.out = protowire.AppendString(w.out, s)
}

// open begins a field that is a message, of about so many bytes: how long its length will be is
// a guess, and close moves what was written if it was wrong. It returns where the message begins.
func (w *writer) open(field protowire.Number, about int) (start int) {
	w.tag(field, protowire.BytesType)
	w.out = protowire.AppendVarint(w.out, uint64(about))
	return len(w.out)
}

// close writes the length of the message that open has begun with the same guess.
func (w *writer) close(start, about int) {
	n := len(w.out) - start
	if n == about {
		return
	}
	begin := start - protowire.SizeVarint(uint64(about))
	if move := protowire.SizeVarint(uint64(n)) - (start - begin); move > 0 {
		var room [10]byte
		w.out = append(w.out, room[:move]...)
		copy(w.out[start+move:], w.out[start:start+n])
	} else if move < 0 {
		copy(w.out[start+move:], w.out[start:])
		w.out = w.out[:len(w.out)+move]
	}
	protowire.AppendVarint(w.out[:begin], uint64(n))
}

func (w *writer) message(m *message.Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	if m.Kind != message.KindEvent {
		w.varint(messageKind, uint64(m.Kind))
	}
	for i, name := range [...]string{m.Type, m.Source, m.Target} {
		if name != "" {
			w.bytes(messageType+protowire.Number(i), name)
		}
	}
	if m.Correlation != 0 {
		w.varint(messageCorrelation, m.Correlation)
	}
	if m.Version != 0 {
		w.varint(messageVersion, uint64(m.Version))
	}
	return w.values(messageValues, &m.Values)
}

// values writes entries, each as a field with the given number.
func (w *writer) values(field protowire.Number, v *message.Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	for key, value := range v.All() {
		err := message.CheckName("key", key)
		if err == nil {
			about := entrySize(key, size(value))
			start := w.open(field, about)
			if key != "" {
				w.bytes(entryKey, key)
			}
			err = w.value(entryValue, value)
			w.close(start, about)
		}
		if err != nil {
			return message.AtKey(key, err)
		}
	}
	return nil
}

// tagSize is how many bytes a tag takes: the numbers of all fields are below 16.
const tagSize = 1

// guess is how many bytes nested values or an array are taken to have.
const guess = 64

// entrySize returns how many bytes an entry takes of which the value takes so many.
func entrySize(key string, value int) int {
	n := tagSize + protowire.SizeBytes(value)
	if key != "" {
		n += tagSize + protowire.SizeBytes(len(key))
	}
	return n
}

// size returns how many bytes v takes as a Value; a guess, if others lie in it.
func size(v message.Value) int {
	switch v.Type() {
	case message.TypeNull:
		return 0
	case message.TypeBool:
		return tagSize + 1
	case message.TypeInt:
		n, _ := v.AsInt()
		return tagSize + protowire.SizeVarint(protowire.EncodeZigZag(n))
	case message.TypeUint:
		n, _ := v.AsUint()
		return tagSize + protowire.SizeVarint(n)
	case message.TypeFloat:
		return tagSize + protowire.SizeFixed64()
	case message.TypeString, message.TypeBytes:
		return tagSize + protowire.SizeBytes(len(v.Text()))
	}
	return tagSize + protowire.SizeBytes(guess)
}

// value writes v as a field with the given number. The errors of the conversions are those of
// other types than v's.
func (w *writer) value(field protowire.Number, v message.Value) error {
	about := size(v)
	start := w.open(field, about)
	switch v.Type() {
	case message.TypeBool:
		b, _ := v.AsBool()
		w.varint(valueBool, protowire.EncodeBool(b))
	case message.TypeInt:
		n, _ := v.AsInt()
		w.varint(valueInt, protowire.EncodeZigZag(n))
	case message.TypeUint:
		n, _ := v.AsUint()
		w.varint(valueUint, n)
	case message.TypeFloat:
		x, _ := v.AsFloat()
		w.tag(valueFloat, protowire.Fixed64Type)
		w.out = protowire.AppendFixed64(w.out, math.Float64bits(x))
	case message.TypeString, message.TypeBytes:
		if err := w.text(v); err != nil {
			return err
		}
	case message.TypeValues, message.TypeArray:
		if err := w.within(v); err != nil {
			return err
		}
	}
	w.close(start, about)
	return nil
}

func (w *writer) text(v message.Value) error {
	s := v.Text()
	if err := w.budget.Bytes(len(s)); err != nil {
		return err
	}
	switch {
	case v.Type() == message.TypeBytes:
		w.bytes(valueBytes, s)
	case utf8.ValidString(s):
		w.bytes(valueString, s)
	default:
		w.bytes(valueStringBytes, s)
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
		start := w.open(valueNested, guess)
		if err := w.values(onlyField, nested); err != nil {
			return err
		}
		w.close(start, guess)
		w.budget.Leave()
		return nil
	}
	items, _ := v.AsArray()
	if err := w.budget.Values(len(items)); err != nil {
		return err
	}
	start := w.open(valueArray, guess)
	for i, item := range items {
		if err := w.value(onlyField, item); err != nil {
			return message.AtIndex(i, err)
		}
	}
	w.close(start, guess)
	w.budget.Leave()
	return nil
}
