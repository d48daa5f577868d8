package message_test

// The bytes of messages in docs/protocol.md, and the schema.

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

func TestDocumentedBytes(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]*message.Message{}
	for _, n := range messagetest.Messages() {
		messages[n.Name] = n.Message
	}
	byName := map[string]message.Format{}
	for _, f := range formats() {
		byName[f.name] = f
	}
	rows := map[string]int{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "`")
		if len(cells) != 7 || byName[cells[1]] == nil {
			continue
		}
		f, m, text := byName[cells[1]], messages[cells[3]], cells[5]
		if m == nil {
			t.Fatalf("no message %q", cells[3])
		}
		p := []byte(text)
		if text[0] != '{' && text[0] != '<' {
			if p, err = hex.DecodeString(strings.ReplaceAll(text, " ", "")); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if got := messagetest.Encode(t, f, m); string(got) != string(p) {
			t.Errorf("%s of %s: % x; the page says % x", cells[1], cells[3], got, p)
		}
		messagetest.CheckParse(t, f, p, m)
		rows[cells[1]]++
	}
	for name := range byName {
		if rows[name] == 0 {
			t.Errorf("the page has no bytes in format %s", name)
		}
	}
	if rows["binary"] < 6 {
		t.Errorf("the page has %d messages in format binary", rows["binary"])
	}
}

// TestDocumentedSchema: the page has message.proto, but for its first comment.
func TestDocumentedSchema(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	proto, err := os.ReadFile("protobuf/message.proto")
	if err != nil {
		t.Fatal(err)
	}
	_, schema, found := strings.Cut(string(proto), "package weir.message;\n")
	if !found || !strings.Contains(string(page), schema) {
		t.Error("docs/protocol.md does not have protobuf/message.proto")
	}
}

// TestDocumentedJSON: what the page shows for values that JSON has no way to write.
func TestDocumentedJSON(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for text, v := range map[string]message.Value{
		`{"$uint":"5"}`:                 message.Uint(uint(5)),
		`{"$int":"9007199254740993"}`:   message.Int(int64(1<<53 + 1)),
		`{"$float":"7ff8000000000001"}`: nan(1),
		`{"$string":"/w=="}`:            message.String("\xff"),
		`{"$bytes":"AAEC"}`:             message.Bytes([]byte{0, 1, 2}),
		`{"$values":{"$uint":5}}`:       message.Nested(new(message.Values).Set("$uint", message.Int(5))),
	} {
		if !strings.Contains(string(page), "`"+text+"`") {
			t.Errorf("the page does not have %s", text)
		}
		whole := `{"values":{"k":` + text + `}}`
		m := message.New("").Set("k", v)
		if got := messagetest.Encode(t, message.JSON{}, m); string(got) != whole {
			t.Errorf("%s, want %s", got, whole)
		}
		messagetest.CheckParse(t, message.JSON{}, []byte(whole), m)
	}
}
