package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/weirnet/weir/session/message"
)

// Parse makes m the message that is all of p. Its strings share one copy of p.
func (f Format) Parse(p []byte, m *message.Message) error {
	m.Reset()
	r := reader{budget: f.Limits.Budget()}
	if err := r.budget.Bytes(len(p)); err != nil {
		return failure(true, 0, err)
	}
	r.all = string(p)
	r.in.Reset(r.all)
	r.from = msgpack.GetDecoder()
	defer msgpack.PutDecoder(r.from)
	r.from.Reset(&r.in)
	err := r.message(m)
	r.from.ResetReader(nil)
	if err != nil {
		m.Reset()
		return failure(true, len(r.all)-r.in.Len(), err)
	}
	return nil
}

// reader looks at each item's first byte and has the library read numbers and lengths.
// Lengths it compares with what is there.
type reader struct {
	budget message.Budget
	all    string
	in     strings.Reader
	from   *msgpack.Decoder
}

// What first bytes announce.
func isText(c byte) bool {
	return msgpcode.IsFixedString(c) || c == msgpcode.Str8 || c == msgpcode.Str16 || c == msgpcode.Str32
}

func isBytes(c byte) bool { return c == msgpcode.Bin8 || c == msgpcode.Bin16 || c == msgpcode.Bin32 }

func isArray(c byte) bool {
	return msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32
}

func isMap(c byte) bool { return msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32 }

func isInteger(c byte) bool {
	return msgpcode.IsFixedNum(c) || c >= msgpcode.Uint8 && c <= msgpcode.Int64
}

// want looks whether what comes next is what has to come.
func (r *reader) want(is func(byte) bool, name string) error {
	c, err := r.from.PeekCode()
	if err == nil && !is(c) {
		err = fmt.Errorf("first byte 0x%02x, want %s", c, name)
	}
	return err
}

// take takes n bytes, which are a part of the copy that was made of all.
func (r *reader) take(n int) (string, error) {
	if n < 0 || n > r.in.Len() {
		return "", fmt.Errorf("%d bytes announced, %d there: %w", uint32(n), r.in.Len(), io.ErrUnexpectedEOF)
	}
	at := len(r.all) - r.in.Len()
	_, err := r.in.Seek(int64(n), io.SeekCurrent)
	return r.all[at : at+n], err
}

// count checks how many values were announced, before memory is taken for them. Each takes at
// least so many bytes.
func (r *reader) count(n, least int) error {
	if n < 0 || n > r.in.Len()/least {
		return fmt.Errorf("%d values announced, %d bytes there: %w", uint32(n), r.in.Len(), io.ErrUnexpectedEOF)
	}
	return r.budget.Values(n)
}

// string takes a length and as many bytes.
func (r *reader) string() (string, error) {
	n, err := r.from.DecodeBytesLen()
	if err != nil {
		return "", err
	}
	return r.take(n)
}

func (r *reader) text() (string, error) {
	if err := r.want(isText, "a string"); err != nil {
		return "", err
	}
	s, err := r.string()
	if err == nil && !utf8.ValidString(s) {
		err = errors.New("string is not UTF-8")
	}
	return s, err
}

// integer takes any integer: an int, or a uint if it is too large for that.
func (r *reader) integer() (message.Value, error) {
	c, err := r.from.PeekCode()
	if err != nil {
		return message.Value{}, err
	}
	if c == msgpcode.Uint64 {
		n, err := r.from.DecodeUint64()
		if n > math.MaxInt64 {
			return message.Uint(n), err
		}
		return message.Int(int64(n)), err
	}
	n, err := r.from.DecodeInt64()
	return message.Int(n), err
}

// number takes an integer from 0 to most.
func (r *reader) number(most uint64) (uint64, error) {
	if err := r.want(isInteger, "an integer"); err != nil {
		return 0, err
	}
	v, err := r.integer()
	if err != nil {
		return 0, err
	}
	n, err := v.AsUint()
	if err != nil || n > most {
		return 0, fmt.Errorf("%v, must be from 0 to %d", v, most)
	}
	return n, nil
}

func (r *reader) message(m *message.Message) error {
	if err := r.want(isArray, "an array"); err != nil {
		return err
	}
	n, err := r.from.DecodeArrayLen()
	if err != nil {
		return err
	}
	if n != envelope {
		return fmt.Errorf("array of %d, must be of %d", uint32(n), envelope)
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
	if err := r.want(isMap, "a map"); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	if err := r.values(&m.Values); err != nil {
		return err
	}
	if r.in.Len() > 0 {
		return fmt.Errorf("%d bytes behind the message", r.in.Len())
	}
	return nil
}

// values takes a map.
func (r *reader) values(v *message.Values) error {
	n, err := r.from.DecodeMapLen()
	if err != nil {
		return err
	}
	if err := r.count(n, 2); err != nil {
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
			return message.AtKey(key, err)
		}
	}
	return nil
}

func (r *reader) value() (message.Value, error) {
	none := message.Value{}
	c, err := r.from.PeekCode()
	switch {
	case err != nil:
		return none, err
	case isInteger(c):
		return r.integer()
	case isText(c):
		s, err := r.text()
		return message.String(s), err
	case isBytes(c):
		s, err := r.string()
		return message.BytesOf(s), err
	case isArray(c):
		return r.array()
	case isMap(c):
		if err := r.budget.Enter(); err != nil {
			return none, err
		}
		v := new(message.Values)
		err := r.values(v)
		r.budget.Leave()
		return message.Nested(v), err
	case msgpcode.IsExt(c):
		return r.extension()
	}
	switch c {
	case msgpcode.Nil:
		return none, r.from.DecodeNil()
	case msgpcode.False, msgpcode.True:
		b, err := r.from.DecodeBool()
		return message.Bool(b), err
	case msgpcode.Float, msgpcode.Double:
		x, err := r.from.DecodeFloat64()
		return message.Float(x), err
	}
	return none, fmt.Errorf("unknown first byte 0x%02x", c)
}

func (r *reader) extension() (message.Value, error) {
	typ, n, err := r.from.DecodeExtHeader()
	if err != nil {
		return message.Value{}, err
	}
	s, err := r.take(n)
	switch {
	case err != nil:
		return message.Value{}, err
	case typ == ExtString:
		return message.String(s), nil
	case typ != ExtUint:
		return message.Value{}, fmt.Errorf("unknown extension %d", typ)
	case n != 8:
		return message.Value{}, fmt.Errorf("uint of %d bytes, must be 8", n)
	}
	return message.Uint(binary.BigEndian.Uint64([]byte(s))), nil
}

func (r *reader) array() (message.Value, error) {
	if err := r.budget.Enter(); err != nil {
		return message.Value{}, err
	}
	n, err := r.from.DecodeArrayLen()
	if err != nil {
		return message.Value{}, err
	}
	if err := r.count(n, 1); err != nil {
		return message.Value{}, err
	}
	items := make([]message.Value, n)
	for i := range items {
		if items[i], err = r.value(); err != nil {
			return message.Value{}, message.AtIndex(i, err)
		}
	}
	r.budget.Leave()
	return message.Array(items...), nil
}
