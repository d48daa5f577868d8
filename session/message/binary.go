package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Binary is weir's own format: small, fast, and with exactly one way to write each message.
//
//	message  0x10 | kind │ flags │ what flags say is there, in the order of the flags
//	flags    1 type, 2 source, 4 target, 8 correlation, 16 version, 32 values
//	values   count │ count × (key │ value)
//	value    its type, a byte │ what the type says
//
// A text is its length and its bytes; counts, lengths, correlation, version and uints are
// varints, 7 bits a byte, the lowest first, in their shortest form; an int is a varint, too,
// with its sign in the lowest bit; a float is its 64 bits, big-endian. docs/protocol.md has it
// all, with examples.
type Binary struct {
	Limits Limits
}

// What stands in the first byte beside the kind: the format's number.
const binaryFormat = 0x10

// What is there of an envelope.
const (
	binaryType byte = 1 << iota
	binarySource
	binaryTarget
	binaryCorrelation
	binaryVersion
	binaryValues

	binaryFlags = binaryValues<<1 - 1
)

// Types of values.
const (
	binaryNull byte = iota
	binaryFalse
	binaryTrue
	binaryInt
	binaryUint
	binaryFloat
	binaryString
	binaryBytes
	binaryNested
	binaryArray
)

// Append appends m to dst.
func (f Binary) Append(dst []byte, m *Message) ([]byte, error) {
	w := binaryWriter{budget: f.Limits.Budget(), out: dst}
	err := w.message(m)
	if err == nil {
		err = w.budget.Encoded(len(w.out) - len(dst))
	}
	if err != nil {
		return dst, &FormatError{Format: "binary", Err: err}
	}
	return w.out, nil
}

type binaryWriter struct {
	budget Budget
	out    []byte
}

func (w *binaryWriter) message(m *Message) error {
	if err := m.Header.Check(); err != nil {
		return err
	}
	var flags byte
	for flag, there := range [...]bool{m.Type != "", m.Source != "", m.Target != "", m.Correlation != 0, m.Version != 0, m.Len() > 0} {
		if there {
			flags |= 1 << flag
		}
	}
	w.out = append(w.out, binaryFormat|byte(m.Kind), flags)
	for _, name := range [...]string{m.Type, m.Source, m.Target} {
		if name != "" {
			w.text(name)
		}
	}
	if m.Correlation != 0 {
		w.uvarint(m.Correlation)
	}
	if m.Version != 0 {
		w.uvarint(uint64(m.Version))
	}
	if m.Len() == 0 {
		return nil
	}
	return w.values(&m.Values)
}

func (w *binaryWriter) uvarint(n uint64) { w.out = binary.AppendUvarint(w.out, n) }

func (w *binaryWriter) text(s string) {
	w.uvarint(uint64(len(s)))
	w.out = append(w.out, s...)
}

func (w *binaryWriter) values(v *Values) error {
	if err := w.budget.Values(v.Len()); err != nil {
		return err
	}
	w.uvarint(uint64(v.Len()))
	for i := range v.fields {
		f := &v.fields[i]
		err := CheckName("key", f.key)
		if err == nil {
			w.text(f.key)
			err = w.value(&f.value)
		}
		if err != nil {
			return AtKey(f.key, err)
		}
	}
	return nil
}

func (w *binaryWriter) value(v *Value) error {
	switch v.typ {
	case TypeNull:
		w.out = append(w.out, binaryNull)
	case TypeBool:
		w.out = append(w.out, binaryFalse+byte(v.bits))
	case TypeInt:
		w.out = append(w.out, binaryInt)
		w.uvarint(v.bits<<1 ^ uint64(int64(v.bits)>>63))
	case TypeUint:
		w.out = append(w.out, binaryUint)
		w.uvarint(v.bits)
	case TypeFloat:
		w.out = append(w.out, binaryFloat)
		w.out = binary.BigEndian.AppendUint64(w.out, v.bits)
	case TypeString, TypeBytes:
		if err := w.budget.Bytes(len(v.text)); err != nil {
			return err
		}
		w.out = append(w.out, binaryString+byte(v.typ-TypeString))
		w.text(v.text)
	case TypeValues:
		if err := w.budget.Enter(); err != nil {
			return err
		}
		w.out = append(w.out, binaryNested)
		if err := w.values(v.nested); err != nil {
			return err
		}
		w.budget.Leave()
	case TypeArray:
		return w.array(*v.items)
	}
	return nil
}

func (w *binaryWriter) array(items []Value) error {
	if err := w.budget.Enter(); err != nil {
		return err
	}
	if err := w.budget.Values(len(items)); err != nil {
		return err
	}
	w.out = append(w.out, binaryArray)
	w.uvarint(uint64(len(items)))
	for i := range items {
		if err := w.value(&items[i]); err != nil {
			return AtIndex(i, err)
		}
	}
	w.budget.Leave()
	return nil
}

// Parse makes m the message that is all of p. Its strings share one copy of p.
func (f Binary) Parse(p []byte, m *Message) error {
	m.Reset()
	r := binaryReader{budget: f.Limits.Budget()}
	err := r.budget.Bytes(len(p))
	if err == nil {
		r.in = string(p)
		err = r.message(m)
	}
	if err != nil {
		m.Reset()
		return &FormatError{Format: "binary", Parse: true, Offset: r.at, Err: err}
	}
	return nil
}

// binaryReader is where in a message a parser is.
type binaryReader struct {
	budget Budget
	in     string
	at     int
}

// errNotShortest: there would be two ways to write one message.
var errNotShortest = errors.New("varint longer than needed")

func (r *binaryReader) left() int { return len(r.in) - r.at }

func (r *binaryReader) byte() (byte, error) {
	if r.left() == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	r.at++
	return r.in[r.at-1], nil
}

func (r *binaryReader) uvarint() (n uint64, err error) {
	for shift := uint(0); ; shift += 7 {
		c, err := r.byte()
		switch {
		case err != nil:
			return 0, err
		case shift == 63 && c > 1:
			return 0, errors.New("varint of more than 64 bits")
		case c == 0 && shift > 0:
			return 0, errNotShortest
		}
		n |= uint64(c&0x7F) << shift
		if c < 0x80 {
			return n, nil
		}
	}
}

// text reads a length and as many bytes. They are a part of the copy that was made of all.
func (r *binaryReader) text() (string, error) {
	n, err := r.uvarint()
	if err != nil {
		return "", err
	}
	if n > uint64(r.left()) {
		return "", fmt.Errorf("%d bytes announced, %d there: %w", n, r.left(), io.ErrUnexpectedEOF)
	}
	r.at += int(n)
	return r.in[r.at-int(n) : r.at], nil
}

// count reads how many values there are. Each takes at least so many bytes, so that a number
// that cannot be right is refused before memory is taken for it.
func (r *binaryReader) count(least int) (int, error) {
	n, err := r.uvarint()
	if err != nil {
		return 0, err
	}
	if n > uint64(r.left()/least) {
		return 0, fmt.Errorf("%d values announced, %d bytes there: %w", n, r.left(), io.ErrUnexpectedEOF)
	}
	return int(n), r.budget.Values(int(n))
}

func (r *binaryReader) message(m *Message) error {
	first, err := r.byte()
	if err != nil {
		return err
	}
	if first&0xF0 != binaryFormat {
		return fmt.Errorf("format 0x%02x, not 0x%02x", first&0xF0, binaryFormat)
	}
	m.Kind = Kind(first & 0x0F)
	flags, err := r.byte()
	if err != nil {
		return err
	}
	if flags&^binaryFlags != 0 {
		return fmt.Errorf("unknown flags 0x%02x", flags)
	}
	for i, name := range [...]*string{&m.Type, &m.Source, &m.Target} {
		if flags&(binaryType<<i) == 0 {
			continue
		}
		if *name, err = r.text(); err != nil {
			return err
		}
		if *name == "" {
			return fmt.Errorf("flag 0x%02x, and the text is empty", binaryType<<i)
		}
	}
	if err := m.Header.Check(); err != nil {
		return err
	}
	if err := r.numbers(m, flags); err != nil {
		return err
	}
	if flags&binaryValues != 0 {
		if err := r.values(&m.Values); err != nil {
			return err
		}
		if m.Len() == 0 {
			return fmt.Errorf("flag 0x%02x, and there are no values", binaryValues)
		}
	}
	if r.left() > 0 {
		return fmt.Errorf("%d bytes behind the message", r.left())
	}
	return nil
}

// numbers reads correlation and version.
func (r *binaryReader) numbers(m *Message, flags byte) (err error) {
	if flags&binaryCorrelation != 0 {
		if m.Correlation, err = r.uvarint(); err != nil {
			return err
		}
		if m.Correlation == 0 {
			return fmt.Errorf("flag 0x%02x, and the correlation id is 0", binaryCorrelation)
		}
	}
	if flags&binaryVersion != 0 {
		version, err := r.uvarint()
		if err != nil {
			return err
		}
		if version == 0 || version > math.MaxUint32 {
			return fmt.Errorf("version %d, must be 1 to %d", version, uint32(math.MaxUint32))
		}
		m.Version = uint32(version)
	}
	return nil
}

func (r *binaryReader) values(v *Values) error {
	n, err := r.count(2) // a key's length and a value's type
	if err != nil {
		return err
	}
	v.Grow(n)
	for range n {
		key, err := r.text()
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		value, err := r.value()
		if err == nil {
			err = v.Add(key, value)
		}
		if err != nil {
			return AtKey(key, err)
		}
	}
	return nil
}

func (r *binaryReader) value() (v Value, err error) {
	typ, err := r.byte()
	if err != nil {
		return v, err
	}
	switch typ {
	case binaryNull:
	case binaryFalse, binaryTrue:
		v = Value{typ: TypeBool, bits: uint64(typ - binaryFalse)}
	case binaryInt:
		v.typ = TypeInt
		v.bits, err = r.uvarint()
		v.bits = v.bits>>1 ^ -(v.bits & 1)
	case binaryUint:
		v.typ = TypeUint
		v.bits, err = r.uvarint()
	case binaryFloat:
		v.typ = TypeFloat
		if r.left() < 8 {
			return v, io.ErrUnexpectedEOF
		}
		for range 8 {
			v.bits = v.bits<<8 | uint64(r.in[r.at])
			r.at++
		}
	case binaryString, binaryBytes:
		v.typ = TypeString + ValueType(typ-binaryString)
		v.text, err = r.text()
	case binaryNested:
		v = Nested(nil)
		err = r.enter(func() error { return r.values(v.nested) })
	case binaryArray:
		v = Array()
		err = r.enter(func() error { return r.array(v.items) })
	default:
		r.at--
		return v, fmt.Errorf("unknown type 0x%02x", typ)
	}
	return v, err
}

// enter reads what lies one deeper.
func (r *binaryReader) enter(read func() error) error {
	if err := r.budget.Enter(); err != nil {
		return err
	}
	err := read()
	r.budget.Leave()
	return err
}

func (r *binaryReader) array(items *[]Value) error {
	n, err := r.count(1)
	if err != nil {
		return err
	}
	all := make([]Value, n)
	for i := range all {
		if all[i], err = r.value(); err != nil {
			return AtIndex(i, err)
		}
	}
	*items = all
	return nil
}
