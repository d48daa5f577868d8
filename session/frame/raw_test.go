package frame

import "testing"

func TestRaw(t *testing.T) {
	for _, c := range []struct {
		size, step int
		want       Cut
	}{
		{0, 1, Cut{Need: 1}},
		{1, 1, Cut{Body: 1}},
		{10, 4, Cut{Body: 4}},
		{rawMax, rawMax, Cut{Body: rawMax}},
		{rawMax + 1, rawMax + 1, Cut{Body: rawMax}},
	} {
		if cut, err := Raw().Cut(chainOf(t, make([]byte, c.size), c.step), 0); cut != c.want || err != nil {
			t.Errorf("%d bytes in segments of %d: %+v, %v; want %+v", c.size, c.step, cut, err, c.want)
		}
	}
	for _, payload := range []string{"", "any"} {
		if wire, err := encode(Raw(), []byte(payload)); string(wire) != payload || err != nil {
			t.Errorf("%q became %q, %v", payload, wire, err)
		}
	}
}
