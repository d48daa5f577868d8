package messagetest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Make returns a Format with the given limits. All that Make returns must be the same but for
// the limits.
type Make func(message.Limits) message.Format

// Run is the suite.
func Run(t *testing.T, with Make) {
	t.Run("round trip", func(t *testing.T) { roundTrips(t, with(message.Limits{})) })
	t.Run("append", func(t *testing.T) { appends(t, with(message.Limits{})) })
	t.Run("bad messages", func(t *testing.T) { badMessages(t, with(message.Limits{})) })
	t.Run("limits", func(t *testing.T) { limits(t, with) })
	t.Run("damage", func(t *testing.T) { damage(t, with(message.Limits{})) })
}

// Encode is Append that must succeed.
func Encode(t testing.TB, f message.Format, m *message.Message) []byte {
	t.Helper()
	p, err := f.Append(nil, m)
	if err != nil {
		t.Fatalf("%v: %v", m, err)
	}
	return p
}

// CheckRoundTrip encodes m and parses it again.
func CheckRoundTrip(t testing.TB, f message.Format, m *message.Message) {
	t.Helper()
	p := Encode(t, f, m)
	CheckParse(t, f, p, m)
}

// CheckParse checks that p is m, also when p is changed afterwards.
func CheckParse(t testing.TB, f message.Format, p []byte, m *message.Message) {
	t.Helper()
	got := message.New("an earlier one").Set("key", message.Int(1))
	mine := bytes.Clone(p)
	if err := f.Parse(mine, got); err != nil {
		t.Fatalf("%v, encoded as %q: %v", m, short(p), err)
	}
	clear(mine)
	if !got.Equal(m) {
		t.Fatalf("sent %v, encoded as %q, and got %v: %s", m, short(p), got, Difference(m, got))
	}
}

func short(p []byte) []byte { return p[:min(len(p), 2000)] }

func roundTrips(t *testing.T, f message.Format) {
	for _, n := range Messages() {
		t.Run(n.Name, func(t *testing.T) {
			CheckRoundTrip(t, f, n.Message)
			if !bytes.Equal(Encode(t, f, n.Message), Encode(t, f, n.Message.Clone())) {
				t.Error("the same message gives other bytes")
			}
		})
	}
}

// Append appends, and leaves dst alone when it fails.
func appends(t *testing.T, f message.Format) {
	m := message.New("t").Set("k", message.String("v"))
	alone := Encode(t, f, m)
	for _, room := range []int{0, 1, 10_000} {
		dst := append(make([]byte, 0, 6+room), "before"...)
		got, err := f.Append(dst, m)
		if err != nil || string(got) != "before"+string(alone) {
			t.Errorf("with room for %d: %q, %v", room, got, err)
		}
		m := m.Clone().Set("bad\n", message.Null())
		if got, err := f.Append(dst, m); err == nil || string(got) != "before" {
			t.Errorf("with room for %d, an error: %q, %v", room, got, err)
		}
	}
}

// What no Format sends.
func badMessages(t *testing.T, f message.Format) {
	for name, m := range map[string]*message.Message{
		"kind":           {Header: message.Header{Kind: message.Kind(message.Kinds)}},
		"type":           message.New("a\nb"),
		"type not UTF-8": message.New("\xff"),
		"type too long":  message.New(strings.Repeat("x", message.NameMax+1)),
		"source":         message.New("").From("\x7f"),
		"target":         message.New("").To("\uffff"),
		"key":            message.New("").Set("\x00", message.Null()),
		"nested key": message.New("").Set("outer", message.Array(message.Null(),
			message.Nested(new(message.Values).Set("inner\xff", message.Null())))),
	} {
		p, err := f.Append(nil, m)
		var e *message.FormatError
		if err == nil || !errors.As(err, &e) || e.Parse || errors.Is(err, message.ErrMalformed) {
			t.Errorf("%s: %q, %v", name, p, err)
			continue
		}
		if name != "kind" && !errors.Is(err, message.ErrName) {
			t.Errorf("%s: %v, want ErrName", name, err)
		}
		if name == "nested key" && !strings.Contains(err.Error(), `"outer"[1]."inner\xff"`) {
			t.Errorf("%s: %v does not name the place", name, err)
		}
	}
}

func limits(t *testing.T, with Make) {
	text := message.New("").Set("k", message.String(strings.Repeat("x", 5000)))
	shared := message.String(strings.Repeat("x", 1<<20)) // a gigabyte, in a megabyte
	bomb := make([]message.Value, 1024)
	for i := range bomb {
		bomb[i] = shared
	}
	all := with(message.Limits{Depth: 100, Values: 1 << 20})
	for name, c := range map[string]struct {
		m      *message.Message
		tight  message.Limits
		enough message.Limits
		what   string
	}{
		"depth":          {message.New("").Set("k", deep(6)), message.Limits{Depth: 5}, message.Limits{Depth: 6}, "depth"},
		"default depth":  {message.New("").Set("k", deep(33)), message.Limits{}, message.Limits{Depth: 33}, "depth"},
		"values":         {many(10), message.Limits{Values: 9}, message.Limits{Values: 10}, "values"},
		"default values": {many(65537), message.Limits{}, message.Limits{Values: 65537}, "values"},
		"elements": {message.New("").Set("k", message.Array(make([]message.Value, 10)...)),
			message.Limits{Values: 10}, message.Limits{Values: 11}, "values"},
		"bytes":         {text, message.Limits{Bytes: 5000}, message.Limits{Bytes: 6000}, "bytes"},
		"default bytes": {message.New("").Set("k", message.Array(bomb...)), message.Limits{}, message.Limits{}, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var limit *message.LimitError
			if p, err := with(c.tight).Append(nil, c.m); !errors.As(err, &limit) || !errors.Is(err, message.ErrLimit) || limit.What != c.what {
				t.Errorf("Append: %d bytes, %v", len(p), err)
			}
			if name == "default bytes" {
				return // too large to be made
			}
			p := Encode(t, all, c.m)
			got := &message.Message{}
			limit = nil
			err := with(c.tight).Parse(p, got)
			if !errors.As(err, &limit) || !errors.Is(err, message.ErrLimit) || errors.Is(err, message.ErrMalformed) || limit.What != c.what {
				t.Errorf("Parse: %v", err)
			}
			if !got.Equal(&message.Message{}) {
				t.Errorf("Parse has left %v", got)
			}
			CheckParse(t, with(c.enough), Encode(t, with(c.enough), c.m), c.m)
		})
	}
}

// What is not a message gives an error and leaves nothing, or is another message; it never
// panics.
func damage(t *testing.T, f message.Format) {
	got := &message.Message{}
	parse := func(p []byte) error {
		err := f.Parse(p, got)
		var e *message.FormatError
		if err != nil && (!errors.As(err, &e) || !e.Parse || e.Format == "" || !got.Equal(&message.Message{})) {
			t.Errorf("%q: %v, and %v", short(p), err, got)
		}
		return err
	}
	for _, n := range Messages() {
		p := Encode(t, f, n.Message)
		if len(p) > 3000 {
			continue
		}
		for i := range p {
			_ = parse(p[:i]) // of some formats, a message all the same
			broken := bytes.Clone(p)
			for _, with := range []byte{0, 0x7F, 0x80, 0xFF, broken[i] + 1, broken[i] ^ 0x20} {
				broken[i] = with
				_ = parse(broken)
			}
		}
		if err := parse(append(bytes.Clone(p), 0xFF)); err == nil {
			t.Errorf("%s: a byte too many was taken", n.Name)
		}
	}
}

// Difference says where two messages differ first.
func Difference(a, b *message.Message) string {
	if a.Header != b.Header {
		return "envelopes"
	}
	return differ(&a.Values, &b.Values)
}

func differ(a, b *message.Values) string {
	if a.Len() != b.Len() {
		return "numbers of keys"
	}
	type pair struct {
		key   string
		value message.Value
	}
	var others []pair
	for key, value := range b.All() {
		others = append(others, pair{key, value})
	}
	i := 0
	for key, value := range a.All() {
		other := others[i]
		if i++; key != other.key {
			return "keys " + key + " and " + other.key
		}
		if !value.Equal(other.value) {
			return key + ": " + value.Type().String() + " " + value.String() + ", " + other.value.Type().String() + " " + other.value.String()
		}
	}
	return "nothing"
}
