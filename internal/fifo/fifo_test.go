package fifo_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirnet/weir/internal/fifo"
)

func TestQueueIsASlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q fifo.Queue[int]
	var model []int
	for i := range 100_000 {
		if rng.IntN(100) < 50+i/1000%10-5 {
			q.Put(i, -i)
			model = append(model, i, -i)
		} else if len(model) > 0 {
			if front, got := q.Front(), q.Take(); front != model[0] || got != model[0] {
				t.Fatalf("took %d after %d, want %d", got, front, model[0])
			}
			model = model[1:]
		}
		if q.Len() != len(model) {
			t.Fatalf("%d values, want %d", q.Len(), len(model))
		}
	}
	if !slices.Equal(q.All(), model) {
		t.Error("other values than were put in")
	}
}

func TestQueueForgets(t *testing.T) {
	var q fifo.Queue[*int]
	q.Put(new(int), new(int), new(int))
	all := q.All()
	q.Take()
	q.Take()
	if all[0] != nil || all[1] != nil || all[2] == nil {
		t.Errorf("the queue keeps %v", all)
	}
}

// A queue that always holds something must not grow for ever.
func TestQueueStaysSmall(t *testing.T) {
	var q fifo.Queue[int]
	q.Put(0, 0, 0)
	if n := testing.AllocsPerRun(10_000, func() { q.Put(q.Take()) }); n != 0 {
		t.Errorf("%v allocations per value", n)
	}
}
