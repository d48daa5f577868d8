package message_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

func TestJSON(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return message.JSON{Limits: l} })
}

func FuzzJSON(f *testing.F) { messagetest.Fuzz(f, message.JSON{}, false, hostileJSON()) }

func BenchmarkJSON(b *testing.B) { messagetest.Benchmark(b, message.JSON{}) }

// What we write is JSON to others.
func TestJSONIsValid(t *testing.T) {
	for _, n := range messagetest.Messages() {
		if p := messagetest.Encode(t, message.JSON{}, n.Message); !json.Valid(p) {
			t.Errorf("%s: %q", n.Name, p[:min(len(p), 500)])
		}
	}
}

// What others may write, and mean.
func TestJSONTaken(t *testing.T) {
	for in, want := range map[string]*message.Message{
		" {\n} ": message.New(""),
		`{"version":2,"correlation":"7","kind":"ping"}`: {Header: message.Header{Kind: message.KindPing, Correlation: 7, Version: 2}},
		`{"values":{}, "type":"\u0074\/"}`:              message.New("t/"),
		`{"values":{"a":18446744073709551615,"b":9223372036854775807,"c":1e3,"d":-0,"e":-0.0}}`: message.New("").
			Set("a", message.Uint(uint64(1<<64-1))).Set("b", message.Int(int64(1<<63-1))).Set("c", message.Float(1000)).
			Set("d", message.Int(0)).Set("e", negativeZero()),
		`{"values":{"a":"\ud83d\ude00\b\f","b":{"$values":{}},"c":[ ]}}`: message.New("").
			Set("a", message.String("😀\b\f")).Set("b", message.Nested(nil)).Set("c", message.Array()),
	} {
		messagetest.CheckParse(t, message.JSON{}, []byte(in), want)
	}
}

func TestJSONRefused(t *testing.T) {
	for in, want := range map[string]string{
		``:                                     "message: json, byte 0: unexpected EOF",
		`[]`:                                   `message: json, byte 0: "[", want '{'`,
		`{"what":1}`:                           `message: json, byte 8: member "what": unknown`,
		`{"type":"a","type":"b"}`:              `message: json, byte 22: member "type": twice`,
		`{"values":{},"values":{}}`:            `message: json, byte 24: member "values": twice`,
		`{"kind":"king"}`:                      `message: json, byte 14: member "kind": "king" is no kind`,
		`{"version":4294967296}`:               `message: json, byte 21: member "version": "4294967296" is no integer from 0 to 4294967295`,
		`{"values":{"a":1,"a":2}}`:             `message: json, byte 22: member "values": "a": message: duplicate key "a"`,
		`{"values":{"a":{"$uint":5}}}`:         `message: json, byte 24: member "values": "a": "5", want a string`,
		`{"values":{"a":{"b":1,"$uint":"5"}}}`: `message: json, byte 30: member "values": "a": "$uint" among other keys`,
		`{"values":{"a":{"$what":"5"}}}`:       `message: json, byte 27: member "values": "a": "$what": unknown sign`,
		`{"values":{"a":[1,18446744073709551616]}}`: `message: json, byte 38: member "values": "a"[1]: "18446744073709551616" is no integer of 64 bits`,
		`{"values":{"a":1e999}}`:                    `message: json, byte 20: member "values": "a": "1e999" is no float of 64 bits`,
		`{"values":{"a":01}}`:                       `message: json, byte 16: member "values": "1", want ',' or '}'`,
		`{"values":{"a":"\ud800"}}`:                 `message: json, byte 22: member "values": "a": half of a surrogate pair, U+D800`,
		"{\"values\":{\"a\":\"\xff\"}}":             `message: json, byte 17: member "values": "a": not UTF-8`,
		"{\"values\":{\"a\":\"\n\"}}":               `message: json, byte 16: member "values": "a": control character U+000A in a string`,
		`{"values":{"a":NaN}}`:                      `message: json, byte 15: member "values": "a": "N", want a value`,
		`{} {}`:                                     `message: json, byte 3: 2 bytes behind the message`,
	} {
		err := message.JSON{}.Parse([]byte(in), new(message.Message))
		if err == nil || err.Error() != want || !errors.Is(err, message.ErrMalformed) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
