package frame

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirnet/weir/buffer"
)

// chainOf returns a chain of b in segments of step bytes each; the pool must be
// empty again when the test ends.
func chainOf(t testing.TB, b []byte, step int) *buffer.Chain {
	t.Helper()
	pool := buffer.NewPool(buffer.Config{Debug: true})
	c := buffer.NewChain(pool)
	appendIn(c, b, step)
	t.Cleanup(func() {
		c.Reset()
		if n := pool.Stats().Segments; n != 0 {
			t.Errorf("%d segments are still out", n)
		}
	})
	return c
}

// appendIn appends b in segments of step bytes.
func appendIn(c *buffer.Chain, b []byte, step int) {
	for len(b) > 0 {
		n := min(step, len(b))
		c.AppendOwned(b[:n:n], nil)
		b = b[n:]
	}
}

func wantConfigError(t *testing.T, err error, field string, value any) {
	t.Helper()
	var bad *ConfigError
	if !errors.As(err, &bad) || bad.Field != field || bad.Value != value || bad.Why == "" {
		t.Errorf("error %#v, want one about %s %v", err, field, value)
		return
	}
	quoted := strings.Trim(fmt.Sprintf("%q", fmt.Sprint(value)), `"`)
	if text := err.Error(); !strings.Contains(text, field) || !strings.Contains(text, quoted) {
		t.Errorf("%q does not name %s and %v", text, field, value)
	}
}

// wantError checks an error of Cut or Head; an empty text is not compared.
func wantError(t *testing.T, err error, want Error, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || *e != want || !errors.Is(err, want.Err) {
		t.Errorf("error %#v, want %#v", err, want)
		return
	}
	if text != "" && err.Error() != text {
		t.Errorf("error %q, want %q", err, text)
	}
}

// wantHeadError checks that Head refuses payload and leaves dst alone.
func wantHeadError(t *testing.T, codec Codec, payload []byte, want Error) {
	t.Helper()
	dst := append(make([]byte, 0, 32), "before"...)
	got, err := codec.Head(dst, payload)
	wantError(t, err, want, "")
	if string(got) != "before" || !bytes.Equal(dst[:cap(dst)][6:], make([]byte, 26)) {
		t.Errorf("Head changed dst to %q", got)
	}
}

// needExactAllocs skips a test of allocation counts in builds that allocate on
// purpose.
func needExactAllocs(t *testing.T) {
	t.Helper()
	if checkingBuild {
		t.Skip("race and weirdebug builds allocate on purpose")
	}
}
