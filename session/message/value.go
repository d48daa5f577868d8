package message

import "math"

// ValueType is what a Value is. The numbers and names are stable; the numbers are not those of
// any format.
type ValueType uint8

// The types.
const (
	TypeNull   ValueType = 0 // of the zero Value: present, and nothing
	TypeBool   ValueType = 1
	TypeInt    ValueType = 2 // int64
	TypeUint   ValueType = 3 // uint64
	TypeFloat  ValueType = 4 // float64
	TypeString ValueType = 5 // text, UTF-8 as a rule; other bytes are kept as they are
	TypeBytes  ValueType = 6
	TypeValues ValueType = 7 // values with keys
	TypeArray  ValueType = 8 // values without, of any types
)

// ValueTypes is one more than the highest ValueType, for arrays indexed by it.
const ValueTypes = int(TypeArray) + 1

var typeNames = [ValueTypes]string{"null", "bool", "int", "uint", "float", "string", "bytes", "values", "array"}

// String returns the type's stable name, as errors and XML use it.
func (t ValueType) String() string {
	if int(t) < ValueTypes {
		return typeNames[t]
	}
	return "invalid"
}

// Value is one value of a message. The zero Value is null. A Value can be copied; what it
// holds does not change, except through the *Values or the slice it was made of.
type Value struct {
	typ    ValueType
	bits   uint64   // bool, int, uint, float
	text   string   // string, bytes
	nested *Values  // values; never nil then
	items  *[]Value // array; never nil then
}

// Signed are the integers that Int takes.
type Signed interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// Unsigned are the integers that Uint takes.
type Unsigned interface {
	~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// Null returns the value that is nothing.
func Null() Value { return Value{} }

// Bool returns a truth value.
func Bool(b bool) Value {
	v := Value{typ: TypeBool}
	if b {
		v.bits = 1
	}
	return v
}

// Int returns a signed integer.
func Int[T Signed](n T) Value { return Value{typ: TypeInt, bits: uint64(int64(n))} }

// Uint returns an unsigned integer.
func Uint[T Unsigned](n T) Value { return Value{typ: TypeUint, bits: uint64(n)} }

// Float returns a floating point number. The bits of a NaN are kept.
func Float(f float64) Value { return Value{typ: TypeFloat, bits: math.Float64bits(f)} }

// String returns a text. Bytes that are not UTF-8 are kept, too.
func String(s string) Value { return Value{typ: TypeString, text: s} }

// Bytes returns bytes. They are copied.
func Bytes(p []byte) Value { return Value{typ: TypeBytes, text: string(p)} }

// BytesOf is Bytes of a string, which need not be copied.
func BytesOf(s string) Value { return Value{typ: TypeBytes, text: s} }

// Nested returns values as a value. They belong to it: a change of v is one of the value. V
// must not come to lie within itself. Nil is none.
func Nested(v *Values) Value {
	if v == nil {
		v = &Values{}
	}
	return Value{typ: TypeValues, nested: v}
}

// Array returns an array. The slice belongs to the value.
func Array(items ...Value) Value { return Value{typ: TypeArray, items: &items} }

// Type returns what v is.
func (v Value) Type() ValueType { return v.typ }

func (v Value) float() float64 { return math.Float64frombits(v.bits) }

// AsBool returns a bool, or a *ValueError that is ErrType.
func (v Value) AsBool() (bool, error) {
	if v.typ != TypeBool {
		return false, v.mismatch(TypeBool)
	}
	return v.bits != 0, nil
}

// AsInt returns an int, or a uint that is not above math.MaxInt64. The error is a *ValueError:
// ErrRange if v is a larger uint, else ErrType.
func (v Value) AsInt() (int64, error) {
	switch {
	case v.typ == TypeInt, v.typ == TypeUint && v.bits <= math.MaxInt64:
		return int64(v.bits), nil
	}
	return 0, v.mismatch(TypeInt)
}

// AsUint returns a uint, or an int that is not negative. The error is a *ValueError: ErrRange
// if v is a negative int, else ErrType.
func (v Value) AsUint() (uint64, error) {
	switch {
	case v.typ == TypeUint, v.typ == TypeInt && int64(v.bits) >= 0:
		return v.bits, nil
	}
	return 0, v.mismatch(TypeUint)
}

// AsFloat returns a float, or an int or uint that a float64 can be, exactly: senders in other
// languages do not tell 5 from 5.0. The error is a *ValueError: ErrRange if v is an integer
// that would be rounded, else ErrType.
func (v Value) AsFloat() (float64, error) {
	switch v.typ {
	case TypeFloat:
		return v.float(), nil
	case TypeInt:
		// Rounding may give 1<<63, which has no int64: what it becomes again differs
		// among processors.
		if f := float64(int64(v.bits)); f < 1<<63 && int64(f) == int64(v.bits) {
			return f, nil
		}
	case TypeUint:
		if f := float64(v.bits); f < 1<<64 && uint64(f) == v.bits {
			return f, nil
		}
	}
	return 0, v.mismatch(TypeFloat)
}

// AsString returns a string, or a *ValueError that is ErrType.
func (v Value) AsString() (string, error) {
	if v.typ != TypeString {
		return "", v.mismatch(TypeString)
	}
	return v.text, nil
}

// AsBytes returns a copy of bytes, or a *ValueError that is ErrType. See Text for a view.
func (v Value) AsBytes() ([]byte, error) {
	if v.typ != TypeBytes {
		return nil, v.mismatch(TypeBytes)
	}
	return []byte(v.text), nil
}

// Text returns what a string or bytes value has, not copied; nothing of other values.
func (v Value) Text() string { return v.text }

// AsValues returns nested values, or a *ValueError that is ErrType. They are v's own: a change
// is one of v.
func (v Value) AsValues() (*Values, error) {
	if v.typ != TypeValues {
		return nil, v.mismatch(TypeValues)
	}
	return v.nested, nil
}

// AsArray returns an array, or a *ValueError that is ErrType. The slice is v's own.
func (v Value) AsArray() ([]Value, error) {
	if v.typ != TypeArray {
		return nil, v.mismatch(TypeArray)
	}
	return *v.items, nil
}

// mismatch tells why v is not of the wanted type.
func (v Value) mismatch(want ValueType) error {
	e := &ValueError{Want: want, Have: v.typ, Err: ErrType}
	switch {
	case want == TypeInt && v.typ == TypeUint, want == TypeUint && v.typ == TypeInt,
		want == TypeFloat && (v.typ == TypeInt || v.typ == TypeUint):
		e.Err, e.Value = ErrRange, v.String()
	}
	return e
}

// Equal tells whether two values have the same type and are the same. Floats are compared by
// their bits.
func (v Value) Equal(other Value) bool {
	if v.typ != other.typ || v.bits != other.bits || v.text != other.text {
		return false
	}
	switch v.typ {
	case TypeValues:
		return v.nested.Equal(other.nested)
	case TypeArray:
		if len(*v.items) != len(*other.items) {
			return false
		}
		for i, item := range *v.items {
			if !item.Equal((*other.items)[i]) {
				return false
			}
		}
	}
	return true
}

// clone returns v with its own nested values and arrays.
func (v Value) clone() Value {
	switch v.typ {
	case TypeValues:
		v.nested = v.nested.Clone()
	case TypeArray:
		items := make([]Value, len(*v.items))
		for i, item := range *v.items {
			items[i] = item.clone()
		}
		v.items = &items
	}
	return v
}
