package protobuf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirnet/weir/session/message"
)

// Parse makes m the message that is all of p. Its strings share one copy of p.
func (f Format) Parse(p []byte, m *message.Message) error {
	m.Reset()
	r := reader{budget: f.Limits.Budget(), in: p}
	err := r.budget.Bytes(len(p))
	if err == nil {
		r.copied = string(p)
		err = r.message(m)
	}
	if err != nil {
		m.Reset()
		return &message.FormatError{Format: "protobuf", Parse: true, Offset: r.at, Err: err}
	}
	return nil
}

// reader is where in a message a parser is. What it reads it reads from in, and what it keeps is
// the same bytes of copied.
type reader struct {
	budget message.Budget
	in     []byte
	copied string
	at     int
}

// take goes over n bytes, or returns the error that the library gives as a negative n.
func (r *reader) take(n int) error {
	if n < 0 {
		return protowire.ParseError(n)
	}
	r.at += n
	return nil
}

// tag takes the tag of a field of a message that goes until end.
func (r *reader) tag(end int) (protowire.Number, protowire.Type, error) {
	field, typ, n := protowire.ConsumeTag(r.in[r.at:end])
	return field, typ, r.take(n)
}

// want tells if a field's bytes are not of the type that it has.
func want(typ, of protowire.Type) error {
	if typ != of {
		return fmt.Errorf("wire type %d, want %d", typ, of)
	}
	return nil
}

// varint takes a number from 0 to most, of a field with the given wire type.
func (r *reader) varint(typ protowire.Type, end int, most uint64) (uint64, error) {
	if err := want(typ, protowire.VarintType); err != nil {
		return 0, err
	}
	n, size := protowire.ConsumeVarint(r.in[r.at:end])
	if err := r.take(size); err != nil {
		return 0, err
	}
	if n > most {
		return 0, fmt.Errorf("%d, must be at most %d", n, most)
	}
	return n, nil
}

// length takes a length and returns where the bytes end that it announces; with an error, where
// r is.
func (r *reader) length(typ protowire.Type, end int) (int, error) {
	if err := want(typ, protowire.BytesType); err != nil {
		return r.at, err
	}
	n, size := protowire.ConsumeVarint(r.in[r.at:end])
	if err := r.take(size); err != nil {
		return r.at, err
	}
	if n > uint64(end-r.at) {
		return r.at, fmt.Errorf("%d bytes announced, %d there: %w", n, end-r.at, io.ErrUnexpectedEOF)
	}
	return r.at + int(n), nil
}

// bytes takes a length and as many bytes, which are a part of the copy that was made of all.
func (r *reader) bytes(typ protowire.Type, end int) (string, error) {
	until, err := r.length(typ, end)
	if err != nil {
		return "", err
	}
	from := r.at
	r.at = until
	return r.copied[from:until], nil
}

func (r *reader) text(typ protowire.Type, end int) (string, error) {
	s, err := r.bytes(typ, end)
	if err == nil && !utf8.ValidString(s) {
		err = errors.New("string is not UTF-8")
	}
	return s, err
}

// seen are the fields of a message that were there; those who look check that the number is
// one that they know.
type seen uint16

// first tells if a field is not there for the first time.
func (s *seen) first(field protowire.Number) error {
	if *s&(1<<field) != 0 {
		return errors.New("twice")
	}
	*s |= 1 << field
	return nil
}

func (r *reader) message(m *message.Message) error {
	var before seen
	for r.at < len(r.in) {
		field, typ, err := r.tag(len(r.in))
		if err != nil {
			return err
		}
		if field == messageValues {
			if err := r.budget.Values(1); err != nil {
				return err
			}
			if err := r.entry(typ, len(r.in), &m.Values); err != nil {
				return err
			}
			continue
		}
		if field > messageValues {
			return fmt.Errorf("unknown field %d of a message", field)
		}
		if err := before.first(field); err != nil {
			return fmt.Errorf("field %d: %w", field, err)
		}
		if err := r.header(&m.Header, field, typ); err != nil {
			return err
		}
	}
	return m.Header.Check()
}

// header takes one field of the envelope.
func (r *reader) header(h *message.Header, field protowire.Number, typ protowire.Type) (err error) {
	end := len(r.in)
	var n uint64
	var what string
	switch field {
	case messageKind:
		what = "kind"
		n, err = r.varint(typ, end, uint64(message.Kinds-1))
		h.Kind = message.Kind(n)
	case messageType:
		what = "type"
		h.Type, err = r.text(typ, end)
	case messageSource:
		what = "source"
		h.Source, err = r.text(typ, end)
	case messageTarget:
		what = "target"
		h.Target, err = r.text(typ, end)
	case messageCorrelation:
		what = "correlation"
		h.Correlation, err = r.varint(typ, end, math.MaxUint64)
	case messageVersion:
		what = "version"
		n, err = r.varint(typ, end, math.MaxUint32)
		h.Version = uint32(n)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// entry takes a key and its value, in any order: the value is read when the key is known.
func (r *reader) entry(typ protowire.Type, end int, v *message.Values) error {
	end, err := r.length(typ, end)
	if err != nil {
		return fmt.Errorf("entry: %w", err)
	}
	var before seen
	var key string
	var from, until int // of the value
	for r.at < end {
		field, typ, err := r.tag(end)
		if err != nil {
			return fmt.Errorf("entry: %w", err)
		}
		if field > entryValue {
			return fmt.Errorf("unknown field %d of an entry", field)
		}
		err = before.first(field)
		switch {
		case err != nil:
		case field == entryKey:
			key, err = r.text(typ, end)
		default:
			until, err = r.length(typ, end)
			from, r.at = r.at, until
		}
		if err != nil {
			return fmt.Errorf("field %d of an entry: %w", field, err)
		}
	}
	r.at = from
	value, err := r.value(until)
	if err == nil {
		r.at = end
		err = v.Add(key, value)
	}
	if err != nil {
		return message.AtKey(key, err)
	}
	return nil
}

// value takes a Value, which goes until end: one field, or none.
func (r *reader) value(end int) (v message.Value, err error) {
	if r.at >= end {
		return v, nil
	}
	field, typ, err := r.tag(end)
	if err != nil {
		return v, err
	}
	var n uint64
	var s string
	switch field {
	case valueBool:
		n, err = r.varint(typ, end, 1)
		v = message.Bool(n == 1)
	case valueInt:
		n, err = r.varint(typ, end, math.MaxUint64)
		v = message.Int(protowire.DecodeZigZag(n))
	case valueUint:
		n, err = r.varint(typ, end, math.MaxUint64)
		v = message.Uint(n)
	case valueFloat:
		v, err = r.float(typ, end)
	case valueString:
		s, err = r.text(typ, end)
		v = message.String(s)
	case valueStringBytes:
		s, err = r.bytes(typ, end)
		v = message.String(s)
	case valueBytes:
		s, err = r.bytes(typ, end)
		v = message.BytesOf(s)
	case valueNested:
		v, err = r.nested(typ, end)
	case valueArray:
		v, err = r.array(typ, end)
	default:
		err = fmt.Errorf("unknown field %d of a value", field)
	}
	if err == nil && r.at < end {
		err = errors.New("a value with more than one field")
	}
	return v, err
}

func (r *reader) float(typ protowire.Type, end int) (message.Value, error) {
	if err := want(typ, protowire.Fixed64Type); err != nil {
		return message.Value{}, err
	}
	n, size := protowire.ConsumeFixed64(r.in[r.at:end])
	return message.Float(math.Float64frombits(n)), r.take(size)
}

func (r *reader) nested(typ protowire.Type, end int) (message.Value, error) {
	end, n, err := r.enter(typ, end)
	if err != nil {
		return message.Value{}, err
	}
	v := new(message.Values)
	v.Grow(n)
	for range n {
		_, typ, err := r.tag(end)
		if err == nil {
			err = r.entry(typ, end, v)
		}
		if err != nil {
			return message.Value{}, err
		}
	}
	r.budget.Leave()
	return message.Nested(v), nil
}

func (r *reader) array(typ protowire.Type, end int) (message.Value, error) {
	end, n, err := r.enter(typ, end)
	if err != nil {
		return message.Value{}, err
	}
	items := make([]message.Value, n)
	for i := range items {
		_, typ, err := r.tag(end)
		until := end
		if err == nil {
			until, err = r.length(typ, end)
		}
		if err == nil {
			items[i], err = r.value(until)
		}
		if err != nil {
			return message.Value{}, message.AtIndex(i, err)
		}
	}
	r.budget.Leave()
	return message.Array(items...), nil
}

// enter goes into a message of which all fields are messages, and have number 1: Values, or an
// Array. It returns where that ends, and how many there are, so that memory is taken once; the
// budget has given them.
func (r *reader) enter(typ protowire.Type, end int) (until, n int, err error) {
	if err := r.budget.Enter(); err != nil {
		return 0, 0, err
	}
	if until, err = r.length(typ, end); err != nil {
		return 0, 0, err
	}
	from := r.at
	for ; r.at < until; n++ { // over each as a whole: what lies in it is not looked at
		field, typ, err := r.tag(until)
		if err == nil && field != onlyField {
			err = fmt.Errorf("unknown field %d of nested values or an array", field)
		}
		if err == nil {
			r.at, err = r.length(typ, until)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	r.at = from
	return until, n, r.budget.Values(n)
}
