// Package messagetest checks a message.Format: weir's own, and yours.
//
// Run is the suite that every Format passes, Fuzz the body of a fuzz target. Both use messages
// with all that is hard to write: NaN with other bits, 1<<63, text that is not UTF-8, keys that
// look like a format's own signs.
package messagetest

import (
	"math"
	"strings"

	"github.com/weirnet/weir/session/message"
)

// Named is a message with a name, for tables and golden files.
type Named struct {
	Name    string
	Message *message.Message
}

// Messages returns the messages of the suite, made anew. Their names and order are stable.
func Messages() []Named {
	return []Named{
		{"empty", message.New("")},
		{"ping", &message.Message{Header: message.Header{Kind: message.KindPing, Correlation: 7}}},
		{"envelope", &message.Message{Header: message.Header{
			Kind: message.KindRequest, Type: "order", Source: "desk", Target: "book", Correlation: 1<<64 - 1, Version: 1<<32 - 1,
		}}},
		{"names", named(`a<b>&"c'`+"\u00a0é世😀", `{"$x":[]}`, strings.Repeat("ß", message.NameMax/2))},
		{"order", message.NewRequest("order", 300).From("desk").To("book").
			Set("symbol", message.String("WEIR")).
			Set("count", message.Int(3)).
			Set("price", message.Float(9.5)).
			Set("firm", message.Bool(true))},
		{"failure", message.NewRequest("order", 300).Fail(&message.Error{Code: message.CodeNotFound, Text: "no such symbol"})},
		{"null and bools", message.New("t").Set("null", message.Null()).Set("false", message.Bool(false)).Set("true", message.Bool(true))},
		{"ints", ints()},
		{"uints", uints()},
		{"floats", floats()},
		{"NaNs", nans()},
		{"strings", texts()},
		{"not UTF-8", message.New("t").
			Set("alone", message.String("\xff")).
			Set("in the middle", message.String("a\x80b")).
			Set("surrogate", message.String("\xed\xa0\x80")).
			Set("cut off", message.String("\xe4\xb8")).
			Set("overlong", message.String("\xc0\x80"))},
		{"bytes", message.New("t").
			Set("none", message.Bytes(nil)).
			Set("zero", message.Bytes([]byte{0})).
			Set("like text", message.Bytes([]byte("text"))).
			Set("300", message.Bytes(everyByte(300)))},
		{"keys", keys()},
		{"nested", message.New("t").
			Set("none", message.Nested(nil)).
			Set("one", message.Nested(new(message.Values).Set("two", message.Nested(new(message.Values).Set("three", message.Int(3)))))).
			Set("signs", message.Nested(new(message.Values).Set("$uint", message.Int(5)))).
			Set("two signs", message.Nested(new(message.Values).Set("$$", message.String("$")).Set("$bytes", message.Null())))},
		{"arrays", message.New("t").
			Set("none", message.Array()).
			Set("mixed", message.Array(message.Null(), message.Bool(true), message.Int(-1), message.Uint(uint(1)), message.Float(1),
				message.String("s"), message.Bytes([]byte("b")), message.Nested(new(message.Values).Set("k", message.Null())),
				message.Array(message.Array(), message.Array(message.Int(1)))))},
		{"many", many(300)},
		{"deep", message.New("t").Set("deep", deep(message.DefaultDepth))},
	}
}

func named(typ, source, target string) *message.Message {
	return message.New(typ).From(source).To(target)
}

func ints() *message.Message {
	m := message.New("t")
	for _, n := range []int64{
		0, 1, -1, 31, -31, -32, -33, 63, 64, -64, -65, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769,
		65535, 65536, 1<<31 - 1, 1 << 31, -1 << 31, -1<<31 - 1, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1,
		math.MaxInt64, math.MinInt64,
	} {
		m.Set(message.Int(n).String(), message.Int(n))
	}
	return m
}

func uints() *message.Message {
	m := message.New("t")
	for _, n := range []uint64{
		0, 1, 23, 24, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1,
	} {
		m.Set(message.Uint(n).String(), message.Uint(n))
	}
	return m
}

func floats() *message.Message {
	m := message.New("t")
	for _, f := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 5, 1e15, 1e21, 1e300, -2.5e-7, 1 << 53, 1 << 63, math.MaxFloat32, math.MaxFloat64,
		math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), 1.5, 65504, math.Pi,
	} {
		m.Set(message.Float(f).String(), message.Float(f))
	}
	return m
}

// nans has quiet and signalling ones, of both signs, with several payloads.
func nans() *message.Message {
	m := message.New("t")
	var all []message.Value
	for _, bits := range []uint64{
		0x7ff8000000000000, 0x7ff8000000000001, 0x7ff0000000000001, 0xfff8000000000000, 0xffffffffffffffff, 0x7fffffffffffffff,
		0x7ff4000000000000, 0xfff0000020000000, 0x7ff80000e0000000,
	} {
		all = append(all, message.Float(math.Float64frombits(bits)))
	}
	return m.Set("NaNs", message.Array(all...))
}

func texts() *message.Message {
	m := message.New("t")
	for i, s := range []string{
		"", "a", " both ends ", "\x00", "\x00\x01\x1f\x7f", "tab\tline\nreturn\rboth\r\nend\n", `<&>"'\/`, "]]>", "é世😀", "\u0085\u2028\u2029",
		"\ufffe\uffff\ufffd", "\ufeffmark", "$uint", "NaN", strings.Repeat("x", 23), strings.Repeat("x", 31), strings.Repeat("x", 32),
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("é", 40_000),
	} {
		m.Set(message.Int(i).String(), message.String(s))
	}
	return m
}

func keys() *message.Message {
	m := message.New("t")
	for i, key := range []string{
		"", "z", "a", "2", "1", "$uint", "$", "$$", "key", " space ", `<&>"'\/`, "é世😀", "\u00a0\u2028", "__proto__", strings.Repeat("k", message.NameMax),
	} {
		m.Set(key, message.Int(i))
	}
	return m
}

func many(n int) *message.Message {
	m := message.New("t")
	for i := range n {
		m.Set("key "+message.Int(i).String(), message.Int(i))
	}
	return m
}

// deep returns a value with so many arrays and nested values within each other, by turns.
func deep(depth int) message.Value {
	v := message.Int(1)
	for i := range depth {
		if i%2 == 0 {
			v = message.Array(v)
		} else {
			v = message.Nested(new(message.Values).Set("k", v))
		}
	}
	return v
}

func everyByte(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}
