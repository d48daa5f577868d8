package message

import (
	"iter"
	"slices"
)

// Values are values with keys, in the order in which the keys were set first; formats keep
// that order, so that the same steps give the same bytes. The zero Values are none, and ready
// to use. They must not be copied once something was set; Clone does.
type Values struct {
	fields []field
	index  map[string]int // where each key is; nil while there are few
}

type field struct {
	key   string
	value Value
}

// fewFields is up to how many keys are looked for one by one, which takes less time and memory
// than a map.
const fewFields = 16

// Len returns how many keys there are.
func (v *Values) Len() int { return len(v.fields) }

// Grow makes room for n more keys, which must not be negative, so that memory is taken once.
func (v *Values) Grow(n int) { v.fields = slices.Grow(v.fields, n) }

// Set stores value under key, in place of an earlier one, and returns v. A new key comes last.
// Keys are names, see CheckName; formats refuse others.
func (v *Values) Set(key string, value Value) *Values {
	if at := v.find(key); at >= 0 {
		v.fields[at].value = value
		return v
	}
	v.append(key, value)
	return v
}

// Add is Set for those who read messages: it refuses keys that are no names, with a *NameError,
// and those that are there already, with a *ValueError that is ErrDuplicate.
func (v *Values) Add(key string, value Value) error {
	if err := CheckName("key", key); err != nil {
		return err
	}
	if v.find(key) >= 0 {
		return &ValueError{Key: key, Have: value.typ, Err: ErrDuplicate}
	}
	v.append(key, value)
	return nil
}

func (v *Values) append(key string, value Value) {
	v.fields = append(v.fields, field{key, value})
	switch {
	case v.index != nil:
		v.index[key] = len(v.fields) - 1
	case len(v.fields) > fewFields:
		v.reindex()
	}
}

func (v *Values) reindex() {
	v.index = make(map[string]int, 2*len(v.fields))
	for i := range v.fields {
		v.index[v.fields[i].key] = i
	}
}

// find returns where key is, or -1.
func (v *Values) find(key string) int {
	if v.index != nil {
		if at, ok := v.index[key]; ok {
			return at
		}
		return -1
	}
	for i := range v.fields {
		if v.fields[i].key == key {
			return i
		}
	}
	return -1
}

// Has tells whether there is a value under key; it may be null.
func (v *Values) Has(key string) bool { return v.find(key) >= 0 }

// Delete removes key, if it is there. It takes time in proportion to Len.
func (v *Values) Delete(key string) {
	at := v.find(key)
	if at < 0 {
		return
	}
	last := len(v.fields) - 1
	copy(v.fields[at:], v.fields[at+1:])
	v.fields[last] = field{}
	v.fields = v.fields[:last]
	v.index = nil
	if last > fewFields {
		v.reindex()
	}
}

// Clear removes all keys, and keeps memory for as many.
func (v *Values) Clear() {
	clear(v.fields)
	v.fields, v.index = v.fields[:0], nil
}

// All goes through keys and values in their order. V must not be changed meanwhile, except by
// Set of keys that are there.
func (v *Values) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for i := range v.fields {
			if !yield(v.fields[i].key, v.fields[i].value) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing that can be changed.
func (v *Values) Clone() *Values {
	c := &Values{fields: make([]field, len(v.fields))}
	for i, f := range v.fields {
		c.fields[i] = field{f.key, f.value.clone()}
	}
	if len(c.fields) > fewFields {
		c.reindex()
	}
	return c
}

// Equal tells whether there are the same keys, in the same order, with equal values.
func (v *Values) Equal(other *Values) bool {
	if len(v.fields) != len(other.fields) {
		return false
	}
	for i, f := range v.fields {
		if o := other.fields[i]; f.key != o.key || !f.value.Equal(o.value) {
			return false
		}
	}
	return true
}
