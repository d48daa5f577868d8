package frame

import (
	"math"
	"testing"
)

func TestFixed(t *testing.T) {
	for _, size := range []int{0, -1, math.MinInt} {
		_, err := NewFixed(size)
		wantConfigError(t, err, "Fixed size", size)
	}
	codec, err := NewFixed(4)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []Cut{{Need: 4}, {Need: 4}, {Need: 4}, {Need: 4}, {Body: 4}, {Body: 4}} {
		if cut, err := codec.Cut(chainOf(t, make([]byte, n), 2), 0); cut != want || err != nil {
			t.Errorf("%d bytes: %+v, %v; want %+v", n, cut, err, want)
		}
	}
	for _, n := range []int{0, 3, 5} {
		wantHeadError(t, codec, make([]byte, n), Error{Err: ErrSize, Length: uint64(n), Limit: 4})
	}
	_, err = codec.Head(nil, []byte("five!"))
	wantError(t, err, Error{Err: ErrSize, Length: 5, Limit: 4}, "frame: wrong size: 5 bytes, not 4")
	if wire, err := encode(codec, []byte("four")); string(wire) != "four" || err != nil {
		t.Errorf("%q, %v", wire, err)
	}

	// As large as it gets, and nothing overflows.
	codec, err = NewFixed(math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	if cut, err := codec.Cut(chainOf(t, make([]byte, 9), 9), 0); cut.Need != math.MaxInt || err != nil {
		t.Errorf("%+v, %v", cut, err)
	}
}
