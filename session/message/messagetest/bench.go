package messagetest

import (
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Benchmark is the body of a benchmark of a Format: append and parse, of a small message and of
// a larger one, into memory that is used again, as a Router does. Metric "size" is how many
// bytes the message takes.
func Benchmark(b *testing.B, f message.Format) {
	for _, n := range []Named{{"small", small()}, {"large", large()}} {
		p := Encode(b, f, n.Message)
		b.Run("append/"+n.Name, func(b *testing.B) {
			b.ReportAllocs()
			var err error
			buffer := make([]byte, 0, len(p))
			for b.Loop() {
				if buffer, err = f.Append(buffer[:0], n.Message); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(p)), "size")
		})
		b.Run("parse/"+n.Name, func(b *testing.B) {
			b.ReportAllocs()
			m := &message.Message{}
			for b.Loop() {
				if err := f.Parse(p, m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(p)), "size")
		})
	}
}

// small is a request with four values.
func small() *message.Message {
	return message.NewRequest("order", 300).From("desk").To("book").
		Set("symbol", message.String("WEIR")).
		Set("count", message.Int(3)).
		Set("price", message.Float(9.5)).
		Set("firm", message.Bool(true))
}

// large is a page of twenty orders, each with an address and a list, and a picture of 2 KiB.
func large() *message.Message {
	orders := make([]message.Value, 20)
	for i := range orders {
		orders[i] = message.Nested(new(message.Values).
			Set("id", message.Uint(uint64(1_000_000+i))).
			Set("symbol", message.String("WEIR")).
			Set("price", message.Float(9.5+float64(i)/16)).
			Set("firm", message.Bool(i%2 == 0)).
			Set("remark", message.String("not before noon, and not after the second bell \u2013 ask first")).
			Set("fills", message.Array(message.Int(i), message.Int(-100*i), message.Int(1<<20+i))).
			Set("address", message.Nested(new(message.Values).
				Set("street", message.String("Weir Lane 7")).
				Set("town", message.String("Teddington")))))
	}
	return message.NewRequest("orders", 1<<40).From("desk").To("book").
		Set("page", message.Int(7)).
		Set("orders", message.Array(orders...)).
		Set("picture", message.Bytes(everyByte(2048)))
}
