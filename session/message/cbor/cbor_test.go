package cbor_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/cbor"
	"github.com/weirnet/weir/session/message/messagetest"
)

func TestCBOR(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return cbor.New(l) })
}

func FuzzCBOR(f *testing.F) { messagetest.Fuzz(f, cbor.New(message.Limits{}), false, hostile()) }

func BenchmarkCBOR(b *testing.B) { messagetest.Benchmark(b, cbor.New(message.Limits{})) }

// with returns a message of which the value under "k" is given in hexadecimal digits.
func with(t *testing.T, value string) []byte {
	t.Helper()
	p, err := hex.DecodeString("87006060600000" + "a1616b" + value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What others may write, and mean.
func TestCBORTaken(t *testing.T) {
	for in, want := range map[string]message.Value{
		"f93e00":             message.Float(1.5),
		"fa3fc00000":         message.Float(1.5),
		"1b0000000000000001": message.Int(1),
		"1bffffffffffffffff": message.Uint(uint64(1<<64 - 1)),
		"3b7fffffffffffffff": message.Int(int64(-1 << 63)),
		"9b0000000000000000": message.Array(),
		"da776569721801":     message.Uint(uint(1)),
	} {
		messagetest.CheckParse(t, cbor.New(message.Limits{}), with(t, in), message.New("").Set("k", want))
	}
}

func TestCBORRefused(t *testing.T) {
	for in, want := range map[string]string{
		"3b8000000000000000": "no integer of 64 bits",
		"f7":                 "unknown simple value 0xf7",
		"f8ff":               "unknown simple value 0xf8",
		"c11a00000000":       "unknown tag 1",
		"da7765697220":       "first byte 0x20 behind tag 2003134834",
		"61ff":               `"k": text is not UTF-8`,
		"a2616101616101":     `"k"."a": message: duplicate key "a"`,
		"a10101":             `"k": key: first byte 0x01, want a text`,
		"9f01ff":             "indefinite",
		"0000":               "extraneous data",
	} {
		err := cbor.New(message.Limits{}).Parse(with(t, in), new(message.Message))
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, message.ErrMalformed) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"\x86\x00\x60\x60\x60\x00\x00":                                     "array of 6, must be of 7",
		"\x87\x07\x60\x60\x60\x00\x00\xa0":                                 "kind: 7, must be at most 6",
		"\x87\x00\x60\x40\x60\x00\x00\xa0":                                 "source: first byte 0x40, want a text",
		"\x87\x00\x60\x60\x60\x20\x00\xa0":                                 "correlation: first byte 0x20, want an unsigned integer",
		"\x87\x00\x60\x60\x60\x00\x1b\x00\x00\x00\x01\x00\x00\x00\x00\xa0": "version: 4294967296, must be at most 4294967295",
		"\x87\x00\x60\x60\x60\x00\x00\xf6":                                 "values: first byte 0xf6, want a map",
		"\xa0":                                                             "first byte 0xa0, want an array",
	} {
		err := cbor.New(message.Limits{}).Parse([]byte(in), new(message.Message))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v, want %s", in, err, want)
		}
	}
}

func TestHostileCBOR(t *testing.T) { messagetest.Hostile(t, cbor.New(message.Limits{}), hostile()) }

func hostile() map[string][]byte {
	head := "\x87\x00\x60\x60\x60\x00\x00"
	gigabyte := "\x40\x00\x00\x00"
	return map[string][]byte{
		"type of 1 GiB":         []byte("\x87\x00\x7a" + gigabyte),
		"1 GiB values":          []byte(head + "\xba" + gigabyte + "\x61k\x00"),
		"text of 1 GiB":         []byte(head + "\xa1\x61k\x7a" + gigabyte + "s"),
		"bytes of 1 GiB":        []byte(head + "\xa1\x61k\x5a" + gigabyte + "s"),
		"array of 1 GiB":        []byte(head + "\xa1\x61k\x9a" + gigabyte + "\x00"),
		"nested values, 1 GiB":  []byte(head + "\xa1\x61k\xba" + gigabyte + "\x61k\x00"),
		"length of 64 bits":     []byte(head + "\xa1\x61k\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
		"100,000 deep":          []byte(head + "\xa1\x61k" + strings.Repeat("\x81", 100_000)),
		"100,000 nested values": []byte(head + "\xa1\x61k" + strings.Repeat("\xa1\x61k", 100_000)),
		"100,000 tags":          []byte(head + "\xa1\x61k" + strings.Repeat("\xda\x77\x65\x69\x72", 100_000)),
	}
}
