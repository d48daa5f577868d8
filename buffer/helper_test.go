package buffer

import (
	"strings"
	"testing"
)

// checkedPool returns a debug pool; at the end of the test everything must have
// been released.
func checkedPool(t testing.TB, c Config) *Pool {
	t.Helper()
	c.Debug = true
	p := NewPool(c)
	t.Cleanup(func() { mustBeEmpty(t, p) })
	return p
}

func mustBeEmpty(t testing.TB, p *Pool) {
	t.Helper()
	p.checkInvariants()
	if st := p.Stats(); st.InUse != 0 || st.Segments != 0 {
		t.Errorf("not everything was released: %+v", st)
		for _, l := range p.Leaks() {
			t.Errorf("leak of %d bytes, from\n%s", l.Size, l.Stack)
		}
	}
}

// mustPanic runs f and checks that it panics with all of the words.
func mustPanic(t testing.TB, f func(), words ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		v := recover()
		if v == nil {
			t.Fatalf("no panic; want one with %q", words)
		}
		text, _ := v.(string)
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("panic %q does not say %q", v, w)
			}
		}
	}()
	f()
}

// pattern returns n bytes that differ from their neighbours and from poison.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 211)
	}
	return b
}

// scale shrinks a count of random steps where each step is dear: race builds
// are slow, and weirdebug builds walk all idle memory after each change.
func scale(n int) int {
	if debugBuild {
		n /= 10
	}
	if testing.Short() || raceBuild || debugBuild {
		n /= 40
	}
	return n
}

// needExactAllocs skips a test of allocation counts in builds that allocate on
// purpose.
func needExactAllocs(t *testing.T) {
	t.Helper()
	if raceBuild || debugBuild {
		t.Skip("race and weirdebug builds allocate on purpose")
	}
}
