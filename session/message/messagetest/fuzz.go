package messagetest

import (
	"errors"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Fuzz is the body of a fuzz target. Its seeds are the suite's messages; add others with f.Add
// of one []byte. What is generated is taken as a message of the format, and as choices for one
// that goes through the format. Strict formats write what they have parsed as they found it.
func Fuzz(f *testing.F, format message.Format, strict bool) {
	for _, n := range Messages() {
		p := Encode(f, format, n.Message)
		if len(p) < 10_000 {
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := &message.Message{}
		err := format.Parse(data, got)
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
