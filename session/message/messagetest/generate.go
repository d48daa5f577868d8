package messagetest

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/weirnet/weir/session/message"
)

// FromBytes makes a message of any bytes; other bytes make another one as a rule. It is what a
// fuzzer changes to get at all messages.
func FromBytes(data []byte) *message.Message {
	g := generator{data: data}
	m := &message.Message{Header: message.Header{Kind: message.Kind(int(g.byte()) % message.Kinds)}}
	m.Type, m.Source, m.Target = g.name(), g.name(), g.name()
	m.Correlation = g.number()
	m.Version = uint32(g.number())
	for len(g.data) > 0 {
		m.Set(g.name(), g.value(0))
	}
	return m
}

// generator takes choices from the front of data; when there are none left it takes zeros.
type generator struct{ data []byte }

func (g *generator) byte() byte {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return b
}

// text takes a length and as many bytes.
func (g *generator) text() string {
	n := min(int(g.byte()), len(g.data))
	s := string(g.data[:n])
	g.data = g.data[n:]
	return s
}

// name is a text that may be one.
func (g *generator) name() string {
	s := strings.Map(func(r rune) rune {
		if message.CheckName("", string(r)) != nil {
			return '$'
		}
		return r
	}, g.text())
	if len(s) > message.NameMax {
		return ""
	}
	return s
}

// number takes up to eight bytes: small numbers are likely.
func (g *generator) number() uint64 {
	var p [8]byte
	copy(p[:], g.take(int(g.byte())%9))
	return binary.LittleEndian.Uint64(p[:])
}

func (g *generator) take(n int) []byte {
	n = min(n, len(g.data))
	p := g.data[:n]
	g.data = g.data[n:]
	return p
}

func (g *generator) value(depth int) message.Value {
	types := message.ValueTypes
	if depth == message.DefaultDepth {
		types = int(message.TypeValues)
	}
	switch message.ValueType(int(g.byte()) % types) {
	case message.TypeBool:
		return message.Bool(g.byte()&1 != 0)
	case message.TypeInt:
		return message.Int(int64(g.number()))
	case message.TypeUint:
		return message.Uint(g.number())
	case message.TypeFloat:
		return message.Float(math.Float64frombits(g.number()))
	case message.TypeString:
		return message.String(g.text())
	case message.TypeBytes:
		return message.Bytes([]byte(g.text()))
	case message.TypeValues:
		v := new(message.Values)
		for range g.byte() % 5 {
			v.Set(g.name(), g.value(depth+1))
		}
		return message.Nested(v)
	case message.TypeArray:
		items := make([]message.Value, g.byte()%5)
		for i := range items {
			items[i] = g.value(depth + 1)
		}
		return message.Array(items...)
	}
	return message.Null()
}
