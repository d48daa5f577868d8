package cbor

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/weirnet/weir/session/message"
)

// Parse makes m the message that is all of p. Its strings share one copy of p.
func (f *Format) Parse(p []byte, m *message.Message) error {
	m.Reset()
	r := reader{format: f, budget: f.limits.Budget()}
	err := r.budget.Bytes(len(p))
	if err == nil {
		if err = f.check.Wellformed(p); err != nil {
			r.at, err = -1, f.limit(err) // where, it does not say
		}
	}
	if err == nil {
		r.in = string(p)
		err = r.message(m)
	}
	if err != nil {
		m.Reset()
		return &message.FormatError{Format: "cbor", Parse: true, Offset: r.at, Err: err}
	}
	return nil
}

// reader walks through what is known to be well-formed: nothing in it is cut off.
type reader struct {
	format *Format
	budget message.Budget
	in     string
	at     int
}

// head takes an item's first byte and the number that belongs to it. For floats that is their
// bits.
func (r *reader) head() (first byte, n uint64) {
	first = r.in[r.at]
	r.at++
	short := first & 0x1F
	if short < 24 {
		return first, uint64(short)
	}
	for range 1 << (short - 24) {
		n = n<<8 | uint64(r.in[r.at])
		r.at++
	}
	return first, n
}

// major is the major type of what has the given first byte.
func major(first byte) byte { return first & 0xE0 }

// want takes the head of an item that must have a major type.
func (r *reader) want(typ byte, name string) (uint64, error) {
	if first := r.in[r.at]; major(first) != typ {
		return 0, fmt.Errorf("first byte 0x%02x, want %s", first, name)
	}
	_, n := r.head()
	return n, nil
}

// bytes takes n bytes. They are a part of the copy that was made of all.
func (r *reader) bytes(n uint64) string {
	r.at += int(n)
	return r.in[r.at-int(n) : r.at]
}

func (r *reader) text() (string, error) {
	n, err := r.want(text, "a text")
	if err != nil {
		return "", err
	}
	return r.valid(n)
}

// valid takes n bytes of a text.
func (r *reader) valid(n uint64) (string, error) {
	s := r.bytes(n)
	if !utf8.ValidString(s) {
		return "", errors.New("text is not UTF-8")
	}
	return s, nil
}

// number takes an unsigned integer up to most.
func (r *reader) number(most uint64) (uint64, error) {
	n, err := r.want(unsigned, "an unsigned integer")
	if err == nil && n > most {
		err = fmt.Errorf("%d, must be at most %d", n, most)
	}
	return n, err
}

func (r *reader) message(m *message.Message) error {
	n, err := r.want(array, "an array")
	if err != nil {
		return err
	}
	if n != envelope {
		return fmt.Errorf("array of %d, must be of %d", n, envelope)
	}
	kind, err := r.number(uint64(message.Kinds - 1))
	if err != nil {
		return fmt.Errorf("kind: %w", err)
	}
	m.Kind = message.Kind(kind)
	for _, name := range [...]struct {
		to   *string
		what string
	}{{&m.Type, "type"}, {&m.Source, "source"}, {&m.Target, "target"}} {
		if *name.to, err = r.text(); err != nil {
			return fmt.Errorf("%s: %w", name.what, err)
		}
	}
	if m.Correlation, err = r.number(math.MaxUint64); err != nil {
		return fmt.Errorf("correlation: %w", err)
	}
	version, err := r.number(math.MaxUint32)
	if err != nil {
		return fmt.Errorf("version: %w", err)
	}
	m.Version = uint32(version)
	if err := m.Header.Check(); err != nil {
		return err
	}
	pairs, err := r.want(mapping, "a map")
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	return r.values(&m.Values, pairs)
}

func (r *reader) values(v *message.Values, n uint64) error {
	if err := r.budget.Values(int(n)); err != nil {
		return err
	}
	v.Grow(int(n)) // each has two bytes at least
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
			return message.AtKey(key, err)
		}
	}
	return nil
}

func (r *reader) value() (message.Value, error) {
	start := r.at
	first, n := r.head()
	switch major(first) {
	case unsigned:
		if n > math.MaxInt64 {
			return message.Uint(n), nil
		}
		return message.Int(int64(n)), nil
	case negative:
		if n > math.MaxInt64 {
			return message.Value{}, fmt.Errorf("-1-%d is no integer of 64 bits", n)
		}
		return message.Int(^int64(n)), nil
	case byteString:
		return message.BytesOf(r.bytes(n)), nil
	case text:
		s, err := r.valid(n)
		return message.String(s), err
	case array:
		return r.array(n)
	case mapping:
		if err := r.budget.Enter(); err != nil {
			return message.Value{}, err
		}
		v := new(message.Values)
		err := r.values(v, n)
		r.budget.Leave()
		return message.Nested(v), err
	case tag:
		return r.tagged(n)
	}
	switch first {
	case isNull:
		return message.Null(), nil
	case isFalse, isTrue:
		return message.Bool(first == isTrue), nil
	case isFloat16:
		var x float64
		err := r.format.check.Unmarshal([]byte(r.in[start:r.at]), &x)
		return message.Float(x), err
	case isFloat32:
		return message.Float(float64(math.Float32frombits(uint32(n)))), nil
	case isFloat64:
		return message.Float(math.Float64frombits(n)), nil
	}
	r.at = start
	return message.Value{}, fmt.Errorf("unknown simple value 0x%02x", first)
}

// tagged takes what stands behind a tag.
func (r *reader) tagged(number uint64) (message.Value, error) {
	if number != Tag {
		return message.Value{}, fmt.Errorf("unknown tag %d", number)
	}
	first, n := r.head()
	switch major(first) {
	case unsigned:
		return message.Uint(n), nil
	case byteString:
		return message.String(r.bytes(n)), nil
	}
	return message.Value{}, fmt.Errorf("first byte 0x%02x behind tag %d, want an unsigned integer or a byte string", first, number)
}

func (r *reader) array(n uint64) (message.Value, error) {
	if err := r.budget.Enter(); err != nil {
		return message.Value{}, err
	}
	if err := r.budget.Values(int(n)); err != nil {
		return message.Value{}, err
	}
	items := make([]message.Value, n) // each has a byte at least
	for i := range items {
		var err error
		if items[i], err = r.value(); err != nil {
			return message.Value{}, message.AtIndex(i, err)
		}
	}
	r.budget.Leave()
	return message.Array(items...), nil
}
