package frame

// The bytes in docs/protocol.md.

import (
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// documented has the codecs of the page, by how it writes them.
func documented(t *testing.T) map[string]Codec {
	fixed, err := NewFixed(4)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Codec{
		"Default()":                                  Default(),
		"LengthPrefix{Width: 1}":                     mustPrefix(t, LengthPrefix{Width: 1}),
		"LengthPrefix{Width: 2}":                     mustPrefix(t, LengthPrefix{Width: 2}),
		"LengthPrefix{Width: 2, LittleEndian: true}": mustPrefix(t, LengthPrefix{Width: 2, LittleEndian: true}),
		"LengthPrefix{LittleEndian: true}":           mustPrefix(t, LengthPrefix{LittleEndian: true}),
		"LengthPrefix{Adjust: 4}":                    mustPrefix(t, LengthPrefix{Adjust: 4}),
		"LengthPrefix{Width: 2, Adjust: -1}":         mustPrefix(t, LengthPrefix{Width: 2, Adjust: -1}),
		"LengthPrefix{Width: 8}":                     mustPrefix(t, LengthPrefix{Width: 8}),
		"LengthPrefix{Width: Varint}":                mustPrefix(t, LengthPrefix{Width: Varint}),
		`Delimiter{Bytes: "\r\n"}`:                   mustDelimiter(t, Delimiter{Bytes: "\r\n"}),
		`Delimiter{Bytes: "\r\n", Max: 3}`:           mustDelimiter(t, Delimiter{Bytes: "\r\n", Max: 3}),
		`Delimiter{Bytes: "\x00"}`:                   mustDelimiter(t, Delimiter{Bytes: "\x00"}),
		"Lines()":                                    Lines(),
		"Fixed(4)":                                   fixed,
		"Raw()":                                      Raw(),
	}
}

// row is a line of a table: what stands between backquotes in each column.
type row [3]string

// tables returns the rows of each table of the page, by its headings.
func tables(t *testing.T) map[row][]row {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[row][]row{}
	var heading row
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			continue
		}
		var r row
		for i := range r {
			r[i] = strings.Trim(cells[i+1], " `")
		}
		switch {
		case !strings.Contains(line, "`") && r[0] != "---":
			heading = r
		case r[0] != "---":
			found[heading] = append(found[heading], r)
		}
	}
	return found
}

func TestDocumentedBytes(t *testing.T) {
	codecs := documented(t)
	used := map[string]bool{}
	codecOf := func(name string) Codec {
		c, ok := codecs[name]
		if !ok {
			t.Fatalf("no codec %q in this test", name)
		}
		used[name] = true
		return c
	}
	bytesOf := func(text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return b
	}
	payloadOf := func(text string) []byte {
		s, err := strconv.Unquote(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return []byte(s)
	}
	all := tables(t)

	sent := all[row{"codec", "payload", "frame"}]
	for _, r := range sent {
		codec, payload, frame := codecOf(r[0]), payloadOf(r[1]), bytesOf(r[2])
		if got, err := encode(codec, payload); !bytes.Equal(got, frame) || err != nil {
			t.Errorf("%s of %q is % x, %v; the page says % x", r[0], payload, got, err, frame)
		}
		cutPieces(t, codec, frame, nil).mustEqual(t, cutting{frames: [][]byte{payload}})
	}

	taken := all[row{"codec", "frame", "payload"}]
	for _, r := range taken {
		cutPieces(t, codecOf(r[0]), bytesOf(r[1]), nil).mustEqual(t, cutting{frames: [][]byte{payloadOf(r[2])}})
	}

	refused := all[row{"codec", "bytes", "error"}]
	for _, r := range refused {
		if _, err := codecOf(r[0]).Cut(chainOf(t, bytesOf(r[1]), 3), 0); err == nil || err.Error() != r[2] {
			t.Errorf("%s of %s: %v; the page says %s", r[0], r[1], err, r[2])
		}
	}

	if len(sent) < 16 || len(taken) < 2 || len(refused) < 8 {
		t.Errorf("%d, %d and %d rows were read", len(sent), len(taken), len(refused))
	}
	for name := range codecs {
		if !used[name] {
			t.Errorf("the page has no row for %s", name)
		}
	}
}
