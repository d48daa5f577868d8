package message_test

import (
	"errors"
	"math"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Every way to ask, of a value of every type.
func TestTypedGet(t *testing.T) {
	m := message.New("t").
		Set("null", message.Null()).
		Set("bool", message.Bool(true)).
		Set("int", message.Int(int8(-3))).
		Set("uint", message.Uint(uint16(3))).
		Set("float", message.Float(0.5)).
		Set("string", message.String("s")).
		Set("bytes", message.Bytes([]byte("b"))).
		Set("values", message.Nested(new(message.Values).Set("k", message.Null()))).
		Set("array", message.Array(message.Int(1), message.Null()))
	asked := map[message.ValueType]func(key string) (any, error){
		message.TypeBool:   func(k string) (any, error) { return m.GetBool(k) },
		message.TypeInt:    func(k string) (any, error) { return m.GetInt(k) },
		message.TypeUint:   func(k string) (any, error) { return m.GetUint(k) },
		message.TypeFloat:  func(k string) (any, error) { return m.GetFloat(k) },
		message.TypeString: func(k string) (any, error) { return m.GetString(k) },
		message.TypeBytes: func(k string) (any, error) {
			p, err := m.GetBytes(k)
			return string(p), err
		},
		message.TypeValues: func(k string) (any, error) {
			v, err := m.GetValues(k)
			if err != nil {
				return nil, err
			}
			return v.Len(), err
		},
		message.TypeArray: func(k string) (any, error) {
			a, err := m.GetArray(k)
			return len(a), err
		},
	}
	want := map[message.ValueType]map[string]any{
		message.TypeBool:   {"bool": true},
		message.TypeInt:    {"int": int64(-3), "uint": int64(3)},
		message.TypeUint:   {"int": message.ErrRange, "uint": uint64(3)},
		message.TypeFloat:  {"float": 0.5, "int": -3.0, "uint": 3.0},
		message.TypeString: {"string": "s"},
		message.TypeBytes:  {"bytes": "b"},
		message.TypeValues: {"values": 1},
		message.TypeArray:  {"array": 2},
	}
	for typ, get := range asked {
		for key, value := range m.All() {
			got, err := get(key)
			expected, ok := want[typ][key]
			if !ok {
				expected = message.ErrType
			}
			failure, ok := expected.(error)
			if !ok {
				if err != nil || got != expected {
					t.Errorf("%v of %s: %v, %v; want %v", typ, key, got, err, expected)
				}
				continue
			}
			var e *message.ValueError
			if !errors.Is(err, failure) || !errors.As(err, &e) || e.Key != key || e.Want != typ || e.Have != value.Type() {
				t.Errorf("%v of %s: %v, want %v", typ, key, err, failure)
			}
		}
		_, err := get("nobody's")
		var e *message.ValueError
		if !errors.Is(err, message.ErrMissing) || !errors.As(err, &e) || e.Key != "nobody's" || e.Want != typ {
			t.Errorf("%v of a missing key: %v", typ, err)
		}
	}
}

// Integers become another type of number where nothing is lost.
func TestNumbersAcrossTypes(t *testing.T) {
	const (
		yes = true
		no  = false
	)
	for _, c := range []struct {
		value                  message.Value
		isInt, isUint, isFloat bool
		asInt                  int64
		asUint                 uint64
		asFloat                float64
	}{
		{message.Int(0), yes, yes, yes, 0, 0, 0},
		{message.Int(-1), yes, no, yes, -1, 0, -1},
		{message.Int(int64(math.MaxInt64)), yes, yes, no, math.MaxInt64, math.MaxInt64, 0},
		{message.Int(int64(math.MinInt64)), yes, no, yes, math.MinInt64, 0, math.MinInt64},
		{message.Int(int64(1<<53 + 1)), yes, yes, no, 1<<53 + 1, 1<<53 + 1, 0},
		{message.Int(int64(1 << 53)), yes, yes, yes, 1 << 53, 1 << 53, 1 << 53},
		{message.Int(int64(1<<63 - 1024)), yes, yes, yes, 1<<63 - 1024, 1<<63 - 1024, 1<<63 - 1024},
		{message.Uint(uint64(1<<63 - 1)), yes, yes, no, math.MaxInt64, math.MaxInt64, 0},
		{message.Uint(uint64(1 << 63)), no, yes, yes, 0, 1 << 63, 1 << 63},
		{message.Uint(uint64(math.MaxUint64)), no, yes, no, 0, math.MaxUint64, 0},
		{message.Float(1), no, no, yes, 0, 0, 1},
	} {
		check := func(what string, got, want any, err error, ok bool) {
			t.Helper()
			if (err == nil) != ok || ok && got != want {
				t.Errorf("%v %v as %s: %v, %v", c.value.Type(), c.value, what, got, err)
			}
		}
		n, err := c.value.AsInt()
		check("int", n, c.asInt, err, c.isInt)
		u, err := c.value.AsUint()
		check("uint", u, c.asUint, err, c.isUint)
		f, err := c.value.AsFloat()
		check("float", f, c.asFloat, err, c.isFloat)
	}
}

func TestValueErrorsInWords(t *testing.T) {
	m := message.New("t").Set("count", message.String("three")).Set("big", message.Uint(uint64(1<<63)))
	for want, err := range map[string]error{
		`message: no such key "price", want float`:                             second(m.GetFloat("price")),
		`message: no such key ""`:                                              second(m.Get("")),
		`message: wrong type "count": have string, want int`:                   second(m.GetInt("count")),
		`message: wrong type: have string, want int`:                           second(message.String("").AsInt()),
		`message: out of range "big": have uint 9223372036854775808, want int`: second(m.GetInt("big")),
		`message: duplicate key "count"`:                                       m.Add("count", message.Null()),
		`message: bad name: key "a\nb": has a control character`:               m.Add("a\nb", message.Null()),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
