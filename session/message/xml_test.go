package message_test

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

func TestXML(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return message.XML{Limits: l} })
}

func FuzzXML(f *testing.F) { messagetest.Fuzz(f, message.XML{}, false, hostileXML()) }

func BenchmarkXML(b *testing.B) { messagetest.Benchmark(b, message.XML{}) }

// What others may write, and mean.
func TestXMLTaken(t *testing.T) {
	for in, want := range map[string]*message.Message{
		"<?xml version='1.0' encoding='UTF-8'?>\n<message/>\n<!-- that was it -->": message.New(""),
		`<message version="2" correlation='7' kind="ping"></message>`:              {Header: message.Header{Kind: message.KindPing, Correlation: 7, Version: 2}},
		"<message type='&#x74;&lt;'>\n <null key='a'/> <!-- x -->\n <string key='b'>a<!-- x -->b<![CDATA[<&>]]>\n</string>\n</message>": message.New("t<").
			Set("a", message.Null()).Set("b", message.String("ab<&>\n")),
		`<message><float key="a">1</float><float key="b">-0</float><array key="c"> <int>1</int> </array><string key="d"/></message>`: message.New("").
			Set("a", message.Float(1)).Set("b", negativeZero()).Set("c", message.Array(message.Int(1))).Set("d", message.String("")),
	} {
		messagetest.CheckParse(t, message.XML{}, []byte(in), want)
	}
}

func TestXMLRefused(t *testing.T) {
	for in, want := range map[string]string{
		``:                                "unexpected EOF",
		`<message>`:                       "unexpected EOF",
		`<other/>`:                        `element "other", want "message"`,
		`<message what="1"/>`:             `attribute "what": unknown`,
		`<message type="a" type="b"/>`:    `attribute "type" twice`,
		`<message kind="king"/>`:          `attribute "kind": "king" is no kind`,
		`<message version="4294967296"/>`: `attribute "version": "4294967296" is no integer from 0 to 4294967295`,
		`<message correlation="07"/>`:     `attribute "correlation": "07" is no number as it has to be written`,
		`<message xmlns="urn:x"/>`:        `element "message" of a namespace`,
		`<message x:type="t"/>`:           `attribute "type" of a namespace`,
		`<message a="" b="" c="" d="" e="" f="" g=""/>`:                              `more than 6 attributes`,
		`<message>text</message>`:                                                    `text "text" between elements`,
		`<message/><message/>`:                                                       `element "message" behind the message`,
		`<message><int>1</int></message>`:                                            `element "int" has no key`,
		`<message><int key="a">1</int><int key="a">2</int></message>`:                `"a": message: duplicate key "a"`,
		`<message><int key="a">+1</int></message>`:                                   `"a": "+1" is no number as it has to be written`,
		`<message><array key="a"><int>1</int><int key="k">1</int></array></message>`: `"a"[1]: unknown attribute "key"`,
		`<message><what key="a"/></message>`:                                         `"a": unknown element "what"`,
		`<message><null key="a"> </null></message>`:                                  `"a": null with text " "`,
		`<message><bool key="a">1</bool></message>`:                                  `"a": bool "1", must be "true" or "false"`,
		`<message><float key="a">NaN</float></message>`:                              `"a": "NaN" is no decimal number`,
		`<message><float key="a" bits="7ff8">1</float></message>`:                    `"a": a float with bits, and a text`,
		`<message><float key="a" bits="7ff8"/></message>`:                            `"a": "7ff8" is not 16 hexadecimal digits`,
		`<message><string key="a" encoding="hex">00</string></message>`:              `"a": encoding "hex", must be "base64"`,
		`<message><string key="a"><int>1</int></string></message>`:                   `"a": element "int" within a text`,
		`<message><string key="a">&e;</string></message>`:                            "invalid character entity &e;",
		`<!DOCTYPE m [<!ENTITY e "x">]><message/>`:                                   "document type declaration",
		"<message><string key=\"a\">\xff</string></message>":                         "invalid UTF-8",
		"<message><string key=\"a\">\x01</string></message>":                         "illegal character code U+0001",
	} {
		err := message.XML{}.Parse([]byte(in), new(message.Message))
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, message.ErrMalformed) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// What we write is XML to others.
func TestXMLIsValid(t *testing.T) {
	for _, n := range messagetest.Messages() {
		var any struct {
			XMLName xml.Name
		}
		p := messagetest.Encode(t, message.XML{}, n.Message)
		if err := xml.Unmarshal(p, &any); err != nil || any.XMLName.Local != "message" {
			t.Errorf("%s: %q: %v", n.Name, p[:min(len(p), 500)], err)
		}
	}
}
