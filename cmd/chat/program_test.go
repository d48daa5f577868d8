//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test binary the program itself.
const asProgram = "CHAT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // ants starts two goroutines when the program begins
}

// program is a chat server in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "listening") {
		t.Fatalf("the server says %q", lines.Text())
	}
	return c
}

// transcript is what a client shows.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func (p *transcript) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

func (p *transcript) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Split(strings.TrimSpace(p.text.String()), "\n")
}

// said are the lines that are messages.
func (p *transcript) said() []string {
	return slices.DeleteFunc(p.lines(), func(s string) bool { return strings.HasPrefix(s, "--") || s == "" })
}

// await waits until it has a line that begins so, n times.
func (p *transcript) await(t *testing.T, prefix string, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		found := 0
		for _, s := range p.lines() {
			if strings.HasPrefix(s, prefix) {
				found++
			}
		}
		if found >= n {
			return
		}
		select {
		case <-p.changed:
		case <-deadline:
			t.Fatalf("no %q (%d times) in\n%s", prefix, n, strings.Join(p.lines(), "\n"))
		}
	}
}

// user types and reads.
type user struct {
	*transcript
	keys  io.WriteCloser
	ended chan error
}

func newUser(t *testing.T, addr, name string) *user {
	t.Helper()
	in, keys := io.Pipe()
	u := &user{&transcript{changed: make(chan struct{}, 1)}, keys, make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	go func() { u.ended <- run(ctx, []string{"join", "-addr", addr, "-name", name}, in, u) }()
	u.await(t, "-- in room", 1)
	return u
}

func (u *user) types(text string) { fmt.Fprintln(u.keys, text) }

// ends closes what u types, and waits for the program.
func (u *user) ends(t *testing.T) {
	t.Helper()
	u.keys.Close()
	if err := <-u.ended; err != nil {
		t.Error("join:", err)
	}
}

// TestLongestText: what a user may type reaches the others, whatever JSON makes of it.
func TestLongestText(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 10})
	ann, bob := newUser(t, addr, "ann"), newUser(t, addr, "bob")
	text := strings.Repeat("<", textMax)
	ann.types(text)
	ann.types("after")
	bob.await(t, "ann: after", 1)
	if got := bob.said(); !slices.Equal(got, []string{"ann: " + text, "ann: after"}) {
		t.Errorf("bob sees %d messages: %.100q", len(got), got)
	}
	ann.ends(t)
	bob.ends(t)
}

// TestLongLine: a line that is too long to be read ends the program with an error, after
// what was typed before.
func TestLongLine(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 10})
	ann, bob := newUser(t, addr, "ann"), newUser(t, addr, "bob")
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		ann.types("before")
		ann.types(strings.Repeat("x", typedMax)) // is read, and is no message
		ann.types(strings.Repeat("x", typedMax+1))
	}()
	if err := <-ann.ended; err == nil || err.Error() != "standard input: a line of more than 65536 bytes" {
		t.Errorf("the program ends with %v", err)
	}
	ann.keys.Close()
	<-typed
	ann.await(t, "-- text", 1)
	bob.await(t, "ann: before", 1)
	bob.ends(t)
}

// TestKilledServer: two clients, a server that is killed, twice, while both go on
// typing. Both are back in the room, and no message is missing, doubled or out of order.
func TestKilledServer(t *testing.T) {
	addr, dir := address(t), t.TempDir()
	server := program(t, "serve", "-addr", addr, "-dir", dir)
	ann := newUser(t, addr, "ann")
	bob := newUser(t, addr, "bob")
	ann.await(t, "-- bob came", 1)
	want := 0
	both := func(text string) {
		ann.types(text)
		bob.types(text)
		want += 2
	}
	for life := 1; life <= 3; life++ {
		for i := range 20 {
			both(fmt.Sprintf("life %d, message %d", life, i))
		}
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait()
		ann.await(t, "-- connection lost", life)
		bob.await(t, "-- connection lost", life)
		both(fmt.Sprintf("nobody serves after life %d", life))
		server = program(t, "serve", "-addr", addr, "-dir", dir)
		ann.await(t, "-- in room", life+1)
		bob.await(t, "-- in room", life+1)
	}
	both("the end")
	ann.await(t, "bob: the end", 1)
	bob.await(t, "ann: the end", 1)
	ann.await(t, "ann: the end", 1)
	bob.await(t, "bob: the end", 1)
	if a, b := ann.said(), bob.said(); !slices.Equal(a, b) {
		t.Errorf("ann and bob do not see the same:\n%s\n\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	for _, name := range []string{"ann", "bob"} {
		own := slices.DeleteFunc(ann.said(), func(s string) bool { return !strings.HasPrefix(s, name+": ") })
		i := 0
		check := func(text string) {
			if i >= len(own) || own[i] != name+": "+text {
				t.Fatalf("%s's message %d is missing or not in its place: want %q in\n%s", name, i, text, strings.Join(own, "\n"))
			}
			i++
		}
		for life := 1; life <= 3; life++ {
			for k := range 20 {
				check(fmt.Sprintf("life %d, message %d", life, k))
			}
			check(fmt.Sprintf("nobody serves after life %d", life))
		}
		check("the end")
		if i != len(own) {
			t.Errorf("%s has %d messages, want %d", name, len(own), i)
		}
	}
	ann.types("/quit")
	bob.keys.Close()
	for _, u := range []*user{ann, bob} {
		if err := <-u.ended; err != nil {
			t.Error("join:", err)
		}
		u.keys.Close()
	}
}
