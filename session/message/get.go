package message

import "errors"

// Values by key. An error of any of these is a *ValueError, which names the key: ErrMissing if
// it is not there, else what the method of Value with a similar name says.

// Get returns the value under key.
func (v *Values) Get(key string) (Value, error) {
	if at := v.find(key); at >= 0 {
		return v.fields[at].value, nil
	}
	return Value{}, &ValueError{Key: key, Err: ErrMissing}
}

// GetBool returns a bool.
func (v *Values) GetBool(key string) (bool, error) { return get(v, key, TypeBool, Value.AsBool) }

// GetInt returns an int, or a uint that fits.
func (v *Values) GetInt(key string) (int64, error) { return get(v, key, TypeInt, Value.AsInt) }

// GetUint returns a uint, or an int that is not negative.
func (v *Values) GetUint(key string) (uint64, error) { return get(v, key, TypeUint, Value.AsUint) }

// GetFloat returns a float, or an integer that need not be rounded.
func (v *Values) GetFloat(key string) (float64, error) { return get(v, key, TypeFloat, Value.AsFloat) }

// GetString returns a string.
func (v *Values) GetString(key string) (string, error) {
	return get(v, key, TypeString, Value.AsString)
}

// GetBytes returns a copy of bytes.
func (v *Values) GetBytes(key string) ([]byte, error) { return get(v, key, TypeBytes, Value.AsBytes) }

// GetValues returns nested values; a change of them is one of v.
func (v *Values) GetValues(key string) (*Values, error) {
	return get(v, key, TypeValues, Value.AsValues)
}

// GetArray returns an array; a change of the slice is one of v.
func (v *Values) GetArray(key string) ([]Value, error) {
	return get(v, key, TypeArray, Value.AsArray)
}

func get[T any](v *Values, key string, want ValueType, as func(Value) (T, error)) (T, error) {
	at := v.find(key)
	if at < 0 {
		var none T
		return none, &ValueError{Key: key, Want: want, Err: ErrMissing}
	}
	got, err := as(v.fields[at].value)
	if bad := (*ValueError)(nil); errors.As(err, &bad) {
		bad.Key = key
	}
	return got, err
}
