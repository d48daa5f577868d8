package protobuf_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
	"github.com/weirnet/weir/session/message/protobuf"
)

func TestProtobuf(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return protobuf.Format{Limits: l} })
}

func FuzzProtobuf(f *testing.F) { messagetest.Fuzz(f, protobuf.Format{}, false, hostile()) }

func BenchmarkProtobuf(b *testing.B) { messagetest.Benchmark(b, protobuf.Format{}) }

// Where the writer has guessed a length that takes more bytes, or fewer, than the right one.
func TestProtobufLengths(t *testing.T) {
	for _, n := range []int{0, 1, 40, 60, 61, 62, 63, 64, 100, 120, 127, 128, 129, 1000} {
		key := strings.Repeat("k", n)
		for _, within := range []int{0, 1, 50, 60, 62, 64, 100, 122, 124, 126, 128, 16_370, 16_384, 70_000} {
			s := message.String(strings.Repeat("s", within))
			messagetest.CheckRoundTrip(t, protobuf.Format{}, message.New("").
				Set(key, message.Nested(nil)).
				Set(key+"a", message.Array(s)).
				Set(key+"v", message.Nested(new(message.Values).Set(key, s))).
				Set(key+"aa", message.Array(message.Array(message.Nested(new(message.Values).Set(key, s)), message.Null()))))
		}
	}
}

// with returns a message of which the value under "k" is given in hexadecimal digits.
func with(t *testing.T, value string) []byte {
	t.Helper()
	p, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	return within(p, 7, 2)
}

// within returns p as the value of the entry with key "k", or, with other numbers of fields, of
// what else has entries.
func within(p []byte, entry, value protowire.Number) []byte {
	inner := protowire.AppendTag([]byte("\x0a\x01k"), value, protowire.BytesType)
	inner = protowire.AppendBytes(inner, p)
	return protowire.AppendBytes(protowire.AppendTag(nil, entry, protowire.BytesType), inner)
}

// What others may write, and mean.
func TestProtobufTaken(t *testing.T) {
	for in, want := range map[string]message.Value{
		"":                       message.Null(),
		"0800":                   message.Bool(false),
		"08818000":               message.Bool(true),
		"10868000":               message.Int(3),
		"9080808000" + "06":      message.Int(3), // a tag longer than needed
		"18ffffffffffffffffff01": message.Uint(uint64(1<<64 - 1)),
		"32020102":               message.String("\x01\x02"), // UTF-8 all the same
		"4200":                   message.Nested(nil),
		"4a00":                   message.Array(),
		"4a020a00":               message.Array(message.Null()),
	} {
		messagetest.CheckParse(t, protobuf.Format{}, with(t, in), message.New("").Set("k", want))
	}
	for in, want := range map[string]*message.Message{
		"":                                  message.New(""),
		"\x08\x00\x12\x00\x28\x00\x30\x00":  message.New(""),
		"\x30\x02\x28\x01\x12\x01t\x08\x05": {Header: message.Header{Kind: message.KindPing, Type: "t", Correlation: 1, Version: 2}},
		"\x3a\x00":                          message.New("").Set("", message.Null()),
		"\x3a\x03\x0a\x01k":                 message.New("").Set("k", message.Null()),
		"\x3a\x07\x12\x02\x10\x06\x0a\x01k\x12\x01t":       message.New("t").Set("k", message.Int(3)), // value before key
		"\x3a\x03\x0a\x01b\x12\x01t\x3a\x03\x0a\x01a":      message.New("t").Set("b", message.Null()).Set("a", message.Null()),
		"\x3a\x06\x0a\x00\x12\x02\x08\x01\x1a\x02\xc3\x9f": message.New("").From("ß").Set("", message.Bool(true)),
	} {
		messagetest.CheckParse(t, protobuf.Format{}, []byte(in), want)
	}
}

func TestProtobufRefused(t *testing.T) {
	for in, want := range map[string]string{
		"0802":                     `"k": 2, must be at most 1`,
		"1800" + "1000":            `"k": a value with more than one field`,
		"5000":                     `"k": unknown field 10 of a value`,
		"1200":                     `"k": wire type 2, want 0`,
		"2a01ff":                   `"k": string is not UTF-8`,
		"1880808080808080808002":   `variable length integer overflow`,
		"21" + "00000000":          `"k": unexpected EOF`,
		"420a0a030a01610a030a0161": `"k"."a": message: duplicate key "a"`,
		"4a03100000":               `"k": unknown field 2 of nested values or an array`,
		"4a020800":                 `"k": wire type 0, want 2`,
		"4a040a025000":             `"k"[0]: unknown field 10 of a value`,
		"0b0c":                     `"k": wire type 3, want 0`,
		"0e":                       `"k": wire type 6, want 0`,
	} {
		refused(t, with(t, in), want)
	}
	for in, want := range map[string]string{
		"\x08\x07":                           "kind: 7, must be at most 6",
		"\x10\x00":                           "type: wire type 0, want 2",
		"\x1a\x01\xff":                       "source: string is not UTF-8",
		"\x22\x01\x00":                       "has a control character",
		"\x30\x80\x80\x80\x80\x10":           "version: 4294967296, must be at most 4294967295",
		"\x28\x00\x28\x00":                   "field 5: twice",
		"\x40\x00":                           "unknown field 8 of a message",
		"\x00":                               "invalid field number",
		"\x3a\x02\x18\x00":                   "unknown field 3 of an entry",
		"\x3a\x04\x0a\x00\x0a\x00":           "field 1 of an entry: twice",
		"\x3a\x04\x12\x00\x12\x00":           "field 2 of an entry: twice",
		"\x3a\x03\x0a\x01\xff":               "field 1 of an entry: string is not UTF-8",
		"\x3a\x03\x0a\x05k":                  "field 1 of an entry: 5 bytes announced, 1 there: unexpected EOF",
		"\x3a\x03\x0a\x01k\x3a\x03\x0a\x01k": `"k": message: duplicate key "k"`,
		"\x38\x00":                           "entry: wire type 0, want 2",
	} {
		refused(t, []byte(in), want)
	}
}

func refused(t *testing.T, p []byte, want string) {
	t.Helper()
	err := protobuf.Format{}.Parse(p, new(message.Message))
	if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, message.ErrMalformed) {
		t.Errorf("%x: %v, want %s", p, err, want)
	}
}

// bomb returns so many levels of what one level begins with: each ends with the next one, and
// its lengths are right.
func bomb(levels int, tags ...string) []byte {
	var reversed []byte
	for range levels {
		for _, tag := range slices.Backward(tags) {
			length := protowire.AppendVarint(nil, uint64(len(reversed)))
			slices.Reverse(length)
			reversed = append(reversed, length...)
			last := []byte(tag)
			slices.Reverse(last)
			reversed = append(reversed, last...)
		}
	}
	slices.Reverse(reversed)
	return reversed
}

func TestHostileProtobuf(t *testing.T) {
	messagetest.Hostile(t, protobuf.Format{}, hostile())
	deep := within(bomb(100_000, "\x4a", "\x0a"), 7, 2)
	if err := (protobuf.Format{}).Parse(deep, new(message.Message)); !errors.Is(err, message.ErrLimit) {
		t.Errorf("100,000 arrays: %v, want ErrLimit", err)
	}
}

func hostile() map[string][]byte {
	gigabyte := "\x80\x80\x80\x80\x04"
	// The lengths around it are right, and the innermost is not.
	announced := func(field byte) []byte {
		return within(append([]byte{field<<3 | 2}, gigabyte+"s"...), 7, 2)
	}
	return map[string][]byte{
		"type of 1 GiB":         []byte("\x12" + gigabyte + "t"),
		"entry of 1 GiB":        []byte("\x3a" + gigabyte + "\x0a\x01k"),
		"key of 1 GiB":          []byte("\x3a\x07\x0a" + gigabyte + "k"),
		"value of 1 GiB":        []byte("\x3a\x0a\x0a\x01k\x12" + gigabyte + "\x08"),
		"string of 1 GiB":       announced(5),
		"string bytes of 1 GiB": announced(6),
		"bytes of 1 GiB":        announced(7),
		"nested values, 1 GiB":  announced(8),
		"array of 1 GiB":        announced(9),
		"length of 64 bits":     []byte("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01t"),
		"a million elements":    within([]byte("\x4a\x80\x89\x7a"+strings.Repeat("\x0a\x00", 1_000_000)), 7, 2),
		"a million entries":     []byte(strings.Repeat("\x3a\x00", 1_000_000)),
		"40 arrays":             within(bomb(40, "\x4a", "\x0a"), 7, 2),
		"100,000 arrays":        within(bomb(100_000, "\x4a", "\x0a"), 7, 2),
		"100,000 nested values": within(bomb(100_000, "\x42", "\x0a\x01k\x0a"), 7, 2),
	}
}
