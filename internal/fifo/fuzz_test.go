package fifo_test

import (
	"slices"
	"testing"

	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/fuzz"
)

// FuzzQueue does anything to a queue, and to a slice.
func FuzzQueue(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		var q fifo.Queue[int]
		var model []int
		for number := 0; c.More(); number++ {
			what := c.IntN(8)
			switch {
			case what < 3:
				more := []int{number, -number, 1000 + number}[:1+c.IntN(3)]
				q.Put(more...)
				model = append(model, more...)
			case len(model) == 0:
			case what < 6:
				if front, got := q.Front(), q.Take(); front != model[0] || got != model[0] {
					t.Fatalf("took %d after %d, want %d", got, front, model[0])
				}
				model = model[1:]
			case what < 7:
				if got := q.TakeLast(); got != model[len(model)-1] {
					t.Fatalf("took %d from the end, want %d", got, model[len(model)-1])
				}
				model = model[:len(model)-1]
			default:
				q.All()[0], model[0] = number, number
			}
			if q.Len() != len(model) || !slices.Equal(q.All(), model) {
				t.Fatalf("the queue holds %v, want %v", q.All(), model)
			}
		}
	})
}
