package msgpack_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
	"github.com/weirnet/weir/session/message/msgpack"
)

func TestMessagePack(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return msgpack.Format{Limits: l} })
}

func FuzzMessagePack(f *testing.F) { messagetest.Fuzz(f, msgpack.Format{}, false, hostile()) }

func BenchmarkMessagePack(b *testing.B) { messagetest.Benchmark(b, msgpack.Format{}) }

// with returns a message of which the value under "k" is given in hexadecimal digits.
func with(t *testing.T, value string) []byte {
	t.Helper()
	p, err := hex.DecodeString("9700a0a0a00000" + "81a16b" + value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What others may write, and mean.
func TestMessagePackTaken(t *testing.T) {
	for in, want := range map[string]message.Value{
		"ca3fc00000":             message.Float(1.5),
		"cc80":                   message.Int(128),
		"d080":                   message.Int(-128),
		"d30000000000000001":     message.Int(1),
		"cf7fffffffffffffff":     message.Int(int64(1<<63 - 1)),
		"cfffffffffffffffff":     message.Uint(uint64(1<<64 - 1)),
		"c708010000000000000001": message.Uint(uint(1)),
		"c70002":                 message.String(""),
		"dd00000000":             message.Array(),
	} {
		messagetest.CheckParse(t, msgpack.Format{}, with(t, in), message.New("").Set("k", want))
	}
}

func TestMessagePackRefused(t *testing.T) {
	for in, want := range map[string]string{
		"c1":             `"k": unknown first byte 0xc1`,
		"d6ff00000000":   `"k": unknown extension -1`,
		"d40101":         `"k": uint of 1 bytes, must be 8`,
		"a1ff":           `"k": string is not UTF-8`,
		"82a16101a16101": `"k"."a": message: duplicate key "a"`,
		"810101":         `"k": key: first byte 0x01, want a string`,
		"81c001":         `"k": key: first byte 0xc0, want a string`,
		"0000":           "1 bytes behind the message",
		"":               `"k": unexpected EOF`,
	} {
		err := msgpack.Format{}.Parse(with(t, in), new(message.Message))
		if in == "" && errors.Is(err, message.ErrMalformed) {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, message.ErrMalformed) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"\x96\x00\xa0\xa0\xa0\x00\x00":                                     "array of 6, must be of 7",
		"\x97\x07\xa0\xa0\xa0\x00\x00\x80":                                 "kind: 7, must be from 0 to 6",
		"\x97\x00\xa0\xc0\xa0\x00\x00\x80":                                 "source: first byte 0xc0, want a string",
		"\x97\x00\xa0\xa0\xa0\xff\x00\x80":                                 "correlation: -1, must be from 0 to",
		"\x97\x00\xa0\xa0\xa0\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\x80": "version: 4294967296, must be from 0 to 4294967295",
		"\x97\x00\xa0\xa0\xa0\x00\x00\xc0":                                 "values: first byte 0xc0, want a map",
		"\x97\x00\xa0\xa0\xa0\x00\x00\xd4\x00\x00\x80":                     "values: first byte 0xd4, want a map",
		"\xc0": "first byte 0xc0, want an array",
	} {
		err := msgpack.Format{}.Parse([]byte(in), new(message.Message))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v, want %s", in, err, want)
		}
	}
}

func TestHostileMessagePack(t *testing.T) { messagetest.Hostile(t, msgpack.Format{}, hostile()) }

func hostile() map[string][]byte {
	head := "\x97\x00\xa0\xa0\xa0\x00\x00"
	gigabyte := "\x40\x00\x00\x00"
	return map[string][]byte{
		"type of 1 GiB":         []byte("\x97\x00\xdb" + gigabyte),
		"1 GiB values":          []byte(head + "\xdf" + gigabyte + "\xa1k\x00"),
		"string of 1 GiB":       []byte(head + "\x81\xa1k\xdb" + gigabyte + "s"),
		"bytes of 1 GiB":        []byte(head + "\x81\xa1k\xc6" + gigabyte + "s"),
		"extension of 1 GiB":    []byte(head + "\x81\xa1k\xc9" + gigabyte + "\x02s"),
		"array of 1 GiB":        []byte(head + "\x81\xa1k\xdd" + gigabyte + "\x00"),
		"array of 4 GiB":        []byte(head + "\x81\xa1k\xdd\xff\xff\xff\xff\x00"),
		"nested values, 1 GiB":  []byte(head + "\x81\xa1k\xdf" + gigabyte + "\xa1k\x00"),
		"100,000 deep":          []byte(head + "\x81\xa1k" + strings.Repeat("\x91", 100_000)),
		"100,000 nested values": []byte(head + "\x81\xa1k" + strings.Repeat("\x81\xa1k", 100_000)),
	}
}
