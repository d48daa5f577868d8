package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes the file of a room.
func write(t *testing.T, st store, room string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(st.dir, room+".jsonl"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLifeIsKept: a room keeps its life as long as its file, however often that is opened.
func TestLifeIsKept(t *testing.T) {
	st := store{dir: t.TempDir(), keep: 2}
	open := func(messages int) string {
		t.Helper()
		p, j, err := st.open("r")
		if err != nil {
			t.Fatal(err)
		}
		defer j.close()
		if p.life == "" || len(p.said) != messages {
			t.Fatalf("life %q with %d messages, want %d", p.life, len(p.said), messages)
		}
		if err := j.add(event{Is: "said", Seq: messages + 1, From: "ann", Key: "a", N: messages + 1, Text: "hi"}); err != nil {
			t.Fatal(err)
		}
		return p.life
	}
	life := open(0)
	for _, messages := range []int{1, 2, 2} {
		if got := open(messages); got != life {
			t.Errorf("with %d messages it has life %q, want %q", messages, got, life)
		}
	}
	// A file of the time before lives.
	write(t, st, "r", append(line(event{Is: "said", Seq: 1, From: "ann", Key: "a", N: 1, Text: "hi"}), '\n'))
	other := open(1)
	if other == life {
		t.Error("another file has the same life")
	}
	if got := open(2); got != other {
		t.Errorf("it has life %q, want %q", got, other)
	}
	if err := os.Remove(filepath.Join(st.dir, "r.jsonl")); err != nil {
		t.Fatal(err)
	}
	if got := open(0); got == life || got == other {
		t.Error("a room that remembers nothing has a life of before")
	}
	st.dir = ""
	if first, second := open(0), open(0); first == second {
		t.Error("a room that is not kept has the same life again")
	}
}

// TestLongestHistory: somebody who does not read yet gets all that a room may remember.
func TestLongestHistory(t *testing.T) {
	said := make([]event, historyMax)
	for i := range said {
		said[i] = event{Is: "said", Seq: i + 1, From: "ann", Key: "a", N: i + 1, Text: strings.Repeat("<", textMax)}
	}
	st := store{dir: t.TempDir(), keep: historyMax}
	write(t, st, "r", past{"life", said}.lines())
	addr := address(t)
	start(t, addr, st)
	eve := dial(t, addr)
	eve.send(`{"do":"join","room":"r","name":"eve","key":"e"}`)
	eve.until("joined")
	bob := dial(t, addr)
	bob.send(`{"do":"join","room":"r","name":"bob","key":"b"}`)
	eve.until("came") // so all is on its way to bob
	if got := bob.until("joined"); len(got) != historyMax+1 {
		t.Errorf("bob got %d messages, want %d", len(got)-1, historyMax)
	}
}
