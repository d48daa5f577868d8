package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirnet/weir/internal/fuzz"
)

// FuzzRequest has the server parse any line. What it takes keeps the limits, and is the same
// when it is sent again.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"do":"join","room":"lobby","name":"ann","key":"k","life":"l","seen":3}`))
	f.Add([]byte(`{"do":"say","n":1,"text":"hello"}`))
	f.Add([]byte(`{"do":"who"}`))
	f.Add([]byte(`{"do":"join","room":"../x","name":"","key":""}`))
	f.Add([]byte(`{"do":"say","n":-1,"text":"\ud800"}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		q, err := parseRequest(p)
		if err != nil {
			return
		}
		again, err := parseRequest(line(q))
		if err != nil || again != q {
			t.Fatalf("%+v is sent as %s, and parsed as %+v, %v", q, line(q), again, err)
		}
		switch q.Do {
		case "join":
			if strings.ContainsAny(q.Room+q.Name, "/.\\\x00\n") || len(q.Room) > nameMax || len(q.Name) > nameMax || len(q.Key) > keyMax || len(q.Life) > lifeMax {
				t.Fatalf("%+v was taken", q)
			}
		case "say":
			if len(q.Text) > textMax || !utf8.ValidString(q.Text) || bytes.Contains(line(q), []byte("\n")) {
				t.Fatalf("%+v was taken", q)
			}
		}
	})
}

// FuzzJournal has the server read any file, cut short anywhere. What it remembers is what it
// finds when it reads what it has written.
func FuzzJournal(f *testing.F) {
	one, two := line(event{Is: "said", Seq: 1, From: "ann", Key: "k", N: 1, Text: "hello\n"}), line(event{Is: "said", Seq: 2, From: "bob"})
	f.Add(bytes.Join([][]byte{one, two, nil}, []byte("\n")), uint8(1))
	f.Add(bytes.Join([][]byte{one, two[:9]}, []byte("\n")), uint8(5))
	f.Add(bytes.Join([][]byte{line(event{Is: "life", Life: "l"}), one, two, nil}, []byte("\n")), uint8(2))
	f.Add([]byte("{}\nnull\n[1]\n\n"), uint8(0))
	f.Fuzz(func(t *testing.T, p []byte, keep uint8) {
		st := store{keep: int(keep)}
		was := st.parse(p)
		if len(was.said) > st.keep {
			t.Fatalf("%d messages, want %d at most", len(was.said), st.keep)
		}
		written := was.lines()
		if got := st.parse(written); got.life != was.life || !bytes.Equal(got.lines(), written) {
			t.Fatalf("%+v becomes %+v", was, got)
		}
		// The process ends in the middle of the last line: all before it is still there.
		if n := len(was.said); n > 0 {
			got := st.parse(written[:len(written)-2])
			if want := (past{was.life, was.said[:n-1]}); !bytes.Equal(got.lines(), want.lines()) || got.life != was.life {
				t.Fatalf("cut short, %+v becomes %+v", was, got)
			}
		}
	})
}

// FuzzClient has a server, which may have been away, tell a client things while it says
// others. The client shows each message of the room once, and what is unheard waits in order.
func FuzzClient(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		me := newClient("room", "ann", "key", func(string) {})
		seen, heard, said := 0, 0, 0
		for c.More() {
			if c.IntN(2) == 0 {
				full := len(me.unheard) == unheardMax
				if err := me.say("text"); (err != nil) != full {
					t.Fatalf("say with %d unheard: %v", len(me.unheard), err)
				} else if err == nil {
					said++
				}
			} else {
				e := event{
					Is: "said", Seq: c.IntN(seen + 3), N: c.IntN(said + 1),
					From: []string{"ann", "bob"}[c.IntN(2)], Key: []string{"key", "other"}[c.IntN(2)],
				}
				if fresh := me.hears(e); fresh != (e.Seq > seen) {
					t.Fatalf("%+v is new: %v, seen %d", e, fresh, seen)
				}
				seen = max(seen, e.Seq)
				if e.From == "ann" && e.Key == "key" {
					heard = max(heard, e.N)
				}
			}
			if len(me.unheard) != said-heard || len(me.unheard) > 0 && me.unheard[0].N != heard+1 {
				t.Fatalf("%d are unheard, want %d from %d on", len(me.unheard), said-heard, heard+1)
			}
		}
	})
}

// FuzzPrinter shows what others have written: one line, and nothing that a terminal obeys.
func FuzzPrinter(f *testing.F) {
	f.Add("hello")
	f.Add("\x1b[2J\a\r\n\u202e\x9b31m")
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		printer(&out)(text)
		shown, ok := strings.CutSuffix(out.String(), "\n")
		control := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }
		if !ok || strings.ContainsFunc(shown, control) || !utf8.ValidString(shown) {
			t.Fatalf("%q is shown as %q", text, shown)
		}
	})
}
