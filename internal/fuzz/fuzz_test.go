package fuzz_test

import (
	"testing"

	"github.com/weirnet/weir/internal/fuzz"
)

// Every value of a small range can be chosen, and the same input chooses the same.
func TestInputChooses(t *testing.T) {
	for _, n := range []int{2, 3, 7, 16, 100} {
		seen := make([]int, n)
		for b := range 1 << 16 {
			data := []byte{byte(b >> 8), byte(b)}
			got := fuzz.New(data).IntN(n)
			if again := fuzz.New(data).IntN(n); again != got {
				t.Fatalf("%v chooses %d of %d, and then %d", data, got, n, again)
			}
			seen[got]++
		}
		for i, times := range seen {
			if fair := 1 << 16 / n; times < fair/2 || times > 2*fair {
				t.Errorf("%d of %d is chosen %d times, want about %d", i, n, times, fair)
			}
		}
	}
}

func TestInputEnds(t *testing.T) {
	c := fuzz.New([]byte{1, 2, 3, 4, 5})
	for i := range 2 {
		if !c.More() {
			t.Fatalf("over after %d choices, want 2", i)
		}
		c.IntN(4)
	}
	if c.More() {
		t.Error("one byte is taken for a choice")
	}
	seen := map[int]bool{}
	for range 100 {
		seen[c.IntN(1000)] = true
	}
	if len(seen) < 50 {
		t.Errorf("behind the end come %d different numbers: what waits for another one would not end", len(seen))
	}
}
