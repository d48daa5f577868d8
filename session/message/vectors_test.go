package message_test

// The golden vectors in testdata/vectors.json, which the tests of other languages may read: what
// each message says, and its bytes in every format.

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/cbor"
	"github.com/weirnet/weir/session/message/messagetest"
	"github.com/weirnet/weir/session/message/msgpack"
	"github.com/weirnet/weir/session/message/protobuf"
)

var writeVectors = flag.Bool("write-vectors", false, "write testdata/vectors.json anew: old peers read the old bytes")

// formats are those of this package and of those below it, in the order of docs/protocol.md.
func formats() []namedFormat {
	return []namedFormat{
		{"binary", message.Binary{}},
		{"json", message.JSON{}},
		{"xml", message.XML{}},
		{"cbor", cbor.New(message.Limits{})},
		{"msgpack", msgpack.Format{}},
		{"protobuf", protobuf.Format{}},
	}
}

type namedFormat struct {
	name string
	message.Format
}

// said is what a message says, in JSON without any of our formats: see testdata/interop.
type said struct {
	Kind        message.Kind `json:"kind"`
	Type        string       `json:"type"`
	Source      string       `json:"source"`
	Target      string       `json:"target"`
	Correlation string       `json:"correlation"`
	Version     uint32       `json:"version"`
	Values      [][]any      `json:"values"` // key, type, content
}

func say(m *message.Message) said {
	return said{m.Kind, m.Type, m.Source, m.Target, strconv.FormatUint(m.Correlation, 10), m.Version, sayValues(&m.Values)}
}

func sayValues(v *message.Values) [][]any {
	all := [][]any{}
	for key, value := range v.All() {
		all = append(all, []any{key, value.Type().String(), content(value)})
	}
	return all
}

func content(v message.Value) any {
	switch v.Type() {
	case message.TypeBool:
		b, _ := v.AsBool()
		return b
	case message.TypeInt:
		n, _ := v.AsInt()
		return strconv.FormatInt(n, 10)
	case message.TypeUint:
		n, _ := v.AsUint()
		return strconv.FormatUint(n, 10)
	case message.TypeFloat:
		x, _ := v.AsFloat()
		var bits [8]byte
		for i := range bits {
			bits[i] = byte(math.Float64bits(x) >> (56 - 8*i))
		}
		return hex.EncodeToString(bits[:])
	case message.TypeString, message.TypeBytes:
		return hex.EncodeToString([]byte(v.Text()))
	case message.TypeValues:
		nested, _ := v.AsValues()
		return sayValues(nested)
	case message.TypeArray:
		items, _ := v.AsArray()
		all := [][]any{}
		for _, item := range items {
			all = append(all, []any{item.Type().String(), content(item)})
		}
		return all
	}
	return nil
}

// vector is an entry of testdata/vectors.json.
type vector struct {
	Name    string            `json:"name"`
	Message said              `json:"message"`
	Bytes   map[string]string `json:"bytes"` // by format, in hexadecimal digits
}

// vectors returns what testdata/vectors.json should have: of messages that are not large.
func vectors(t *testing.T) []byte {
	var lines [][]byte
	for _, n := range messagetest.Messages() {
		v := vector{n.Name, say(n.Message), map[string]string{}}
		large := false
		for _, f := range formats() {
			p := messagetest.Encode(t, f, n.Message)
			v.Bytes[f.name] = hex.EncodeToString(p)
			large = large || len(p) > 4000
		}
		if large {
			continue
		}
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return fmt.Appendf(nil, "[\n%s\n]\n", bytes.Join(lines, []byte(",\n")))
}

// TestVectors: what was written once is written today, and is read.
func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	now := vectors(t)
	if *writeVectors {
		if err := os.WriteFile(file, now, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, now) {
		t.Errorf("%s is not what is written today; if that is meant: go test ./session/message -run TestVectors -write-vectors", file)
	}
	var all []vector
	if err := json.Unmarshal(golden, &all); err != nil {
		t.Fatal(err)
	}
	messages := map[string]*message.Message{}
	for _, n := range messagetest.Messages() {
		messages[n.Name] = n.Message
	}
	for _, v := range all {
		for _, f := range formats() {
			p, err := hex.DecodeString(v.Bytes[f.name])
			if err != nil {
				t.Fatal(err)
			}
			t.Run(v.Name+"/"+f.name, func(t *testing.T) { messagetest.CheckParse(t, f, p, messages[v.Name]) })
		}
	}
	if len(all) < 15 {
		t.Errorf("%s has %d messages", file, len(all))
	}
}
