package messagetest

import (
	"errors"
	"runtime/metrics"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Fuzz is the body of a fuzz target. Its seeds are the suite's messages and the inputs of Hostile,
// or their beginnings; add others with f.Add of one []byte. What is generated is taken as a
// message of the format, for which little memory may be taken whatever it announces, and as
// choices for one that goes through the format. Strict formats write what they have parsed as
// they found it.
func Fuzz(f *testing.F, format message.Format, strict bool, hostile map[string][]byte) {
	for _, n := range Messages() {
		p := Encode(f, format, n.Message)
		if len(p) < 10_000 {
			f.Add(p)
		}
	}
	for _, p := range hostile {
		f.Add(p[:min(len(p), 2000)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := &message.Message{}
		before := allocated()
		err := format.Parse(data, got)
		// A value takes up to 64 bytes, the arrays that were too small for it as many, and an
		// empty one a byte of input; others allocate, too.
		if took := allocated() - before; took > 4<<20+256*uint64(len(data)) {
			t.Fatalf("%q: %d bytes of memory for %d", data, took, len(data))
		}
		var e *message.FormatError
		switch {
		case err == nil:
			if strict {
				if p := Encode(t, format, got); string(p) != string(data) {
					t.Fatalf("%q is %v, which is written %q", data, got, p)
				}
			}
			CheckRoundTrip(t, format, got)
		case !errors.As(err, &e) || !e.Parse || !errors.Is(err, message.ErrMalformed) && !errors.Is(err, message.ErrLimit):
			t.Fatalf("%q: %v", data, err)
		case !got.Equal(&message.Message{}):
			t.Fatalf("%q: %v, and left %v", data, err, got)
		}
		CheckRoundTrip(t, format, FromBytes(data))
	})
}

// allocated returns how many bytes were allocated so far; of small objects it may hear late.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
