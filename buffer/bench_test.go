package buffer

import (
	"fmt"
	"testing"
)

func BenchmarkGetRelease(b *testing.B) {
	for _, n := range []int{64, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := NewPool(Config{})
			b.ReportAllocs()
			for b.Loop() {
				p.Get(n).Release()
			}
		})
	}
}

func BenchmarkGetReleaseParallel(b *testing.B) {
	p := NewPool(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Get(4 << 10).Release()
		}
	})
}

func BenchmarkAdoptRelease(b *testing.B) {
	p := NewPool(Config{})
	mem := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		p.Adopt(mem, nil).Release()
	}
}

// One small message in, one out, as in a depth-1 echo.
func BenchmarkAppendSmall(b *testing.B) {
	c := NewChain(NewPool(Config{}))
	mem := make([]byte, 64)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		c.Append(mem)
		c.Consume(64)
	}
}

// Sixteen small messages, gathered and dropped at once.
func BenchmarkAppendSmall16(b *testing.B) {
	c := NewChain(NewPool(Config{}))
	mem := make([]byte, 64)
	b.ReportAllocs()
	b.SetBytes(16 * 64)
	for b.Loop() {
		for range 16 {
			c.Append(mem)
		}
		c.Consume(c.Len())
	}
}

// Sixteen messages of a broadcast: views of one segment with gaps between them.
func BenchmarkViews16(b *testing.B) {
	p := NewPool(Config{})
	c := NewChain(p)
	s := p.Get(4 << 10)
	mem := s.Bytes()
	views := make([][]byte, 0, 64)
	b.ReportAllocs()
	b.SetBytes(16 * 64)
	for b.Loop() {
		for i := range 16 {
			c.AppendView(s, mem[i*128:i*128+64])
		}
		views = c.Views(views[:0], 64<<10)
		c.Consume(c.Len())
	}
}
