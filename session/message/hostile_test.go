package message_test

import (
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

// Announced lengths of a gigabyte, and bombs of depth.
func TestHostileBinary(t *testing.T) { messagetest.Hostile(t, message.Binary{}, hostileBinary()) }

func hostileBinary() map[string][]byte {
	gigabyte := "\x80\x80\x80\x80\x04"
	return map[string][]byte{
		"type of 1 GiB":         []byte("\x10\x01" + gigabyte + "t"),
		"1 GiB values":          []byte("\x10\x20" + gigabyte + "\x01k\x00"),
		"key of 1 GiB":          []byte("\x10\x20\x01" + gigabyte + "k"),
		"string of 1 GiB":       []byte("\x10\x20\x01\x01k\x06" + gigabyte + "s"),
		"bytes of 1 GiB":        []byte("\x10\x20\x01\x01k\x07" + gigabyte + "s"),
		"array of 1 GiB":        []byte("\x10\x20\x01\x01k\x09" + gigabyte + "\x00"),
		"nested values, 1 GiB":  []byte("\x10\x20\x01\x01k\x08" + gigabyte + "\x01k\x00"),
		"length of 64 bits":     []byte("\x10\x20\x01\x01k\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01s"),
		"100,000 deep":          []byte("\x10\x20\x01\x01k" + strings.Repeat("\x09\x01", 100_000)),
		"100,000 nested values": []byte("\x10\x20\x01\x01k" + strings.Repeat("\x08\x01\x01k", 100_000)),
	}
}

func TestHostileJSON(t *testing.T) { messagetest.Hostile(t, message.JSON{}, hostileJSON()) }

func hostileJSON() map[string][]byte {
	return map[string][]byte{
		"100,000 deep":          []byte(`{"values":{"k":` + strings.Repeat(`[`, 100_000)),
		"100,000 nested values": []byte(`{"values":{"k":` + strings.Repeat(`{"k":`, 100_000)),
		"100,000 signs":         []byte(`{"values":{"k":` + strings.Repeat(`{"$values":{"k":`, 100_000)),
		"a million elements":    []byte(`{"values":{"k":[` + strings.Repeat(`0,`, 1_000_000)),
	}
}

func TestHostileXML(t *testing.T) { messagetest.Hostile(t, message.XML{}, hostileXML()) }

func hostileXML() map[string][]byte {
	return map[string][]byte{
		"100,000 deep":                []byte(`<message><array key="k">` + strings.Repeat(`<array>`, 100_000)),
		"100,000 nested values":       []byte(`<message>` + strings.Repeat(`<values key="k">`, 100_000)),
		"a million attributes":        []byte(`<message` + strings.Repeat(` a=""`, 1_000_000) + `/>`),
		"a million in an inner one":   []byte(`<!-- " --><message><?x "?><string key=">"><![CDATA[<"]]></string><int` + strings.Repeat(` a=""`, 1_000_000) + `/>`),
		"entities of entities":        []byte(`<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><message type="&b;"/>`),
		"a million of another's tags": []byte(`<message><string key="k">` + strings.Repeat(`<a>`, 1_000_000)),
	}
}
