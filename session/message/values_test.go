package message_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirnet/weir/session/message"
)

// Values against a list of keys and a map, through any steps.
func TestValuesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v message.Values
		var keys []string
		model := map[string]int64{}
		anyKey := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 40).Draw(t, "key")) })
		set := func(key string, n int64) {
			if _, ok := model[key]; !ok {
				keys = append(keys, key)
			}
			model[key] = n
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				key, n := anyKey.Draw(t, "key"), rapid.Int64().Draw(t, "n")
				v.Set(key, message.Int(n))
				set(key, n)
			},
			"add": func(t *rapid.T) {
				key, n := anyKey.Draw(t, "key"), rapid.Int64().Draw(t, "n")
				_, there := model[key]
				if err := v.Add(key, message.Int(n)); (err != nil) != there {
					t.Fatalf("Add: %v", err)
				}
				if !there {
					set(key, n)
				}
			},
			"delete": func(t *rapid.T) {
				key := anyKey.Draw(t, "key")
				v.Delete(key)
				delete(model, key)
				keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "dice") == 0 {
					v.Clear()
					keys, model = nil, map[string]int64{}
				}
			},
			"clone": func(t *rapid.T) {
				c := v.Clone()
				if !c.Equal(&v) || !v.Equal(c) {
					t.Fatal("a clone differs")
				}
				v.Set("clone", message.Null())
				if c.Has("clone") {
					t.Fatal("a clone changes with its origin")
				}
				v = *c
			},
			"": func(t *rapid.T) {
				if v.Len() != len(keys) {
					t.Fatalf("%d keys, want %d", v.Len(), len(keys))
				}
				i := 0
				for key, value := range v.All() {
					if n, err := value.AsInt(); key != keys[i] || n != model[key] || err != nil {
						t.Fatalf("%d: %s, %v; want %s, %d", i, key, value, keys[i], model[key])
					}
					if n, err := v.GetInt(key); n != model[key] || err != nil {
						t.Fatalf("%s: %d, %v", key, n, err)
					}
					i++
				}
				for n := range 41 {
					key := fmt.Sprint("k", n)
					if _, there := model[key]; v.Has(key) != there {
						t.Fatalf("%s: %v", key, v.Has(key))
					}
				}
			},
		})
	})
}

func TestEqualTellsApart(t *testing.T) {
	base := func() *message.Message {
		return message.New("t").Set("a", message.Int(1)).Set("b", message.Array(message.Int(2)))
	}
	if !base().Equal(base()) {
		t.Fatal("equal messages are not")
	}
	for name, change := range map[string]func(*message.Message){
		"type":    func(m *message.Message) { m.Type = "u" },
		"version": func(m *message.Message) { m.Version = 1 },
		"value":   func(m *message.Message) { m.Set("a", message.Int(2)) },
		"kind":    func(m *message.Message) { m.Set("a", message.Uint(uint(1))) },
		"key":     func(m *message.Message) { m.Set("c", message.Null()) },
		"order":   func(m *message.Message) { m.Delete("a"); m.Set("a", message.Int(1)) },
		"element": func(m *message.Message) { m.Set("b", message.Array(message.Int(3))) },
		"length":  func(m *message.Message) { m.Set("b", message.Array()) },
		"nested":  func(m *message.Message) { m.Set("b", message.Nested(nil)) },
	} {
		if m := base(); change != nil {
			change(m)
			if m.Equal(base()) || base().Equal(m) {
				t.Errorf("another %s, and equal", name)
			}
		}
	}
}

// A clone shares nothing that can be changed.
func TestCloneIsDeep(t *testing.T) {
	m := message.New("t").
		Set("values", message.Nested(new(message.Values).Set("k", message.Int(1)))).
		Set("array", message.Array(message.Nested(new(message.Values).Set("k", message.Int(1)))))
	c := m.Clone()
	v, _ := m.GetValues("values")
	v.Set("k", message.Int(2))
	a, _ := m.GetArray("array")
	inner, _ := a[0].AsValues()
	inner.Set("k", message.Int(2))
	a[0] = message.Null()
	v, _ = c.GetValues("values")
	if n, err := v.GetInt("k"); n != 1 || err != nil {
		t.Errorf("nested values: %d, %v", n, err)
	}
	a, _ = c.GetArray("array")
	inner, err := a[0].AsValues()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := inner.GetInt("k"); n != 1 || err != nil {
		t.Errorf("values in an array: %d, %v", n, err)
	}
}

// Grow changes no values, and what is set afterwards takes no more memory.
func TestGrow(t *testing.T) {
	var v message.Values
	n := testing.AllocsPerRun(100, func() {
		v = message.Values{}
		v.Set("a", message.Int(1))
		v.Grow(10)
		for _, key := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			v.Set(key, message.Null())
		}
	})
	if n > 3 { // one before Grow and its own, to which the race detector adds one
		t.Errorf("%v allocations, without Grow there are 5", n)
	}
	if got, err := v.GetInt("a"); v.Len() != 11 || got != 1 || err != nil {
		t.Errorf("%d keys, a is %d, %v", v.Len(), got, err)
	}
}
