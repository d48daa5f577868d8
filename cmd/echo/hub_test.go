//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// served is the program, serving, and how to reach it.
type served struct {
	*running
	address, debug string
}

func startServing(t *testing.T, args ...string) served {
	t.Helper()
	p := start(t, append([]string{"-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0", "-log", "off"}, args...)...)
	debug := p.await(`debug on (http://\S+)/$`)
	return served{p, p.await(listeningLine), debug}
}

// dialMembers opens connections and waits until all of them are in the group.
func (p served) dialMembers(n int) []net.Conn {
	p.t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(p.t, p.address)
	}
	awaitStats(p.t, p.debug, func(st engine.Stats) bool { return st.GroupSent.Members == n })
	return conns
}

func mustWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// mustRead wants just this text next.
func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

var wires = []struct{ name, said, heard string }{
	{"raw", "hi\r\nyou", "hi\r\nyou"},
	{"length", "\x00\x00\x00\x02hi\x00\x00\x00\x00", "\x00\x00\x00\x02hi\x00\x00\x00\x00"},
	{"line", "hi\r\n\nyou\n", "hi\n\nyou\n"},
}

func TestReplyAll(t *testing.T) {
	for _, wire := range wires {
		for _, mode := range []string{"pool", "inline", "single"} {
			t.Run(wire.name+" "+mode, func(t *testing.T) {
				p := startServing(t, "-wire", wire.name, "-reply", "all", "-mode", mode)
				conns := p.dialMembers(3)
				for _, from := range conns {
					mustWrite(t, from, wire.said)
					for _, to := range conns {
						mustRead(t, to, wire.heard)
					}
				}
				st := awaitStats(t, p.debug, func(st engine.Stats) bool {
					return st.GroupSent.Delivered == 3*st.GroupSent.Published
				}).Engine
				if st.Groups != 1 || st.GroupSent.Published < 3 || st.GroupSent.Dropped+st.GroupSent.Unsent != 0 {
					t.Errorf("counted %+v in %d groups", st.GroupSent, st.Groups)
				}
				for _, c := range conns {
					c.Close()
				}
				awaitStats(t, p.debug, func(st engine.Stats) bool { return st.Sessions == 0 })
				rest := p.end(os.Interrupt, 0)
				for _, line := range []string{
					fmt.Sprintf("\nmessages to groups %17d\n", st.GroupSent.Published),
					fmt.Sprintf("\ndelivered %26d   once for each session\n", st.GroupSent.Delivered),
				} {
					if !strings.Contains(rest, line) {
						t.Errorf("%q is missing in\n%s", line, rest)
					}
				}
			})
		}
	}
}

func TestReplySender(t *testing.T) {
	for _, wire := range wires {
		t.Run(wire.name, func(t *testing.T) {
			p := startServing(t, "-wire", wire.name, "-reply", "sender")
			first, second := dial(t, p.address), dial(t, p.address)
			for _, c := range []net.Conn{first, second, first} { // what came of the other's would be in front
				mustWrite(t, c, wire.said)
				mustRead(t, c, wire.heard)
			}
			if st := getStats(t, p.debug).Engine; st.Groups != 0 || st.GroupSent.Published != 0 {
				t.Errorf("groups were used: %+v", st.GroupSent)
			}
			first.Close()
			second.Close()
			if rest := p.end(os.Interrupt, 0); strings.Contains(rest, "groups") {
				t.Errorf("tells of groups: %q", rest)
			}
		})
	}
}

func TestStatsShowGroupsAndCasts(t *testing.T) {
	p := startServing(t, "-reply", "all")
	conns := p.dialMembers(2)
	mustWrite(t, conns[0], "x")
	mustRead(t, conns[1], "x")
	awaitStats(t, p.debug, func(st engine.Stats) bool { return st.GroupSent.Delivered == 2 })
	_, _, body := get(t, p.debug+"/stats")
	for _, line := range []string{
		"Engine.Groups 1\n", "Engine.GroupSent.Members 2\n", "Engine.GroupSent.Published 1\n", "Engine.GroupSent.Delivered 2\n",
		"Engine.GroupSent.Dropped 0\n", "Engine.Cast 0\n", "Engine.CastRefused 0\n",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("%q is missing in\n%s", line, body)
		}
	}
}

// A message that was begun must be finished in time.
func TestFrameTimeout(t *testing.T) {
	p := startServing(t, "-wire", "length", "-frame-timeout", "100ms")
	c := dial(t, p.address)
	mustWrite(t, c, "\x00\x00\x00\x02h")
	if got := readAll(t, c); len(got) != 0 {
		t.Errorf("%q came back", got)
	}
	c.Close()
	awaitStats(t, p.debug, func(st engine.Stats) bool { return st.Closed["frame_timeout"] == 1 })
}

// A line that cannot be said ends its session, as does anything else that is no frame.
func TestBadFramesClose(t *testing.T) {
	for _, c := range []struct{ wire, reply, said, heard string }{
		{"line", "sender", "hi\nyou\r\r\nthere\n", "hi\n"},
		{"line", "all", "hi\nyou\r\r\nthere\n", "hi\n"},
		{"length", "sender", "\x00\x00\x00\x02hi\xff\xff\xff\xff", "\x00\x00\x00\x02hi"},
		{"length", "all", "\x00\x00\x00\x02hi\xff\xff\xff\xff", "\x00\x00\x00\x02hi"},
	} {
		t.Run(c.wire+" "+c.reply, func(t *testing.T) {
			p := startServing(t, "-wire", c.wire, "-reply", c.reply)
			conn := dial(t, p.address)
			mustWrite(t, conn, c.said)
			got := string(readAll(t, conn))
			// What was published before in the same read may come too late.
			if got != c.heard && (c.reply == "sender" || got != "") {
				t.Errorf("got %q, want %q", got, c.heard)
			}
			conn.Close()
			awaitStats(t, p.debug, func(st engine.Stats) bool { return st.Closed["protocol_error"] == 1 })
		})
	}
}

// A member that does not read is closed, or messages are left out for it. Another one
// gets all of them.
func TestStuckReader(t *testing.T) {
	for _, policy := range slowPolicies {
		t.Run(policy.String(), func(t *testing.T) {
			p := startServing(t, "-wire", "length", "-reply", "all", "-slow", policy.String(), "-queue", "100000")
			stuck := dial(t, p.address)
			w := wordy{t: t, conn: dial(t, p.address)}
			awaitStats(t, p.debug, func(st engine.Stats) bool { return st.GroupSent.Members == 2 })
			st := engine.Stats{}
			for st.GroupSent.Closed+st.GroupSent.Dropped == 0 {
				w.say(32)
				st = getStats(t, p.debug).Engine
			}
			if policy != session.CloseSlow {
				// Its loop may be behind that of the other one, and would find it reading again.
				awaitStats(t, p.debug, func(st engine.Stats) bool {
					g := st.GroupSent
					return g.Delivered+g.Dropped+uint64(g.Queued) == 2*g.Published
				})
			}
			got := make(chan []uint32, 1)
			go func() { got <- hear(stuck) }() // from here on it reads
			if policy == session.CloseSlow {
				checkPrefix(t, <-got, w.said)
			} else {
				awaitStats(t, p.debug, func(st engine.Stats) bool { return st.GroupSent.Queued == 0 && st.Queued == 0 })
				w.say(1) // it is not behind any more
				st = awaitStats(t, p.debug, func(st engine.Stats) bool {
					return st.GroupSent.Delivered+st.GroupSent.Dropped == 2*st.GroupSent.Published
				}).Engine
				if err := stuck.(halfCloser).CloseWrite(); err != nil { // the server answers with its own FIN
					t.Fatal(err)
				}
				checkHoles(t, policy, <-got, w.said, st.GroupSent)
			}
			stuck.Close()
			w.conn.Close()
			awaitStats(t, p.debug, func(st engine.Stats) bool { return st.Sessions == 0 })
			rest := p.end(os.Interrupt, 0)
			if line := fmt.Sprintf("dropped %28s   left out", formatCount(st.GroupSent.Dropped)); !strings.Contains(rest, line) {
				t.Errorf("%q is missing in\n%s", line, rest)
			}
			if line := fmt.Sprintf("closed %29d   sessions", st.GroupSent.Closed); !strings.Contains(rest, line) {
				t.Errorf("%q is missing in\n%s", line, rest)
			}
		})
	}
}

// wordyMessage is how long the messages in TestStuckReader are, their number in front.
const wordyMessage = 16 << 10

// wordy is a member that publishes, and reads what it has published.
type wordy struct {
	t    *testing.T
	conn net.Conn
	said uint32
}

func (w *wordy) say(messages int) {
	w.t.Helper()
	message := make([]byte, 4+wordyMessage)
	binary.BigEndian.PutUint32(message, wordyMessage)
	for range messages {
		binary.BigEndian.PutUint32(message[4:], w.said)
		w.said++
		mustWrite(w.t, w.conn, string(message))
		mustRead(w.t, w.conn, string(message))
	}
}

// hear returns the numbers of all whole messages that come until the end.
func hear(c net.Conn) (numbers []uint32) {
	message := make([]byte, 4+wordyMessage)
	for in := bufio.NewReader(c); ; {
		if _, err := io.ReadFull(in, message); err != nil {
			return numbers
		}
		if binary.BigEndian.Uint32(message) != wordyMessage || !bytes.Equal(message[8:], make([]byte, wordyMessage-4)) {
			return append(numbers, 1<<31) // no whole message
		}
		numbers = append(numbers, binary.BigEndian.Uint32(message[4:]))
	}
}

// checkPrefix wants the first messages, and not all of them.
func checkPrefix(t *testing.T, got []uint32, said uint32) {
	t.Helper()
	for i, number := range got {
		if number != uint32(i) {
			t.Fatalf("message %d came as number %d", number, i)
		}
	}
	if len(got) == int(said) {
		t.Error("nothing is missing")
	}
}

// checkHoles wants messages in order, as many as were not dropped, and the last one.
func checkHoles(t *testing.T, policy session.SlowPolicy, got []uint32, said uint32, st session.GroupStats) {
	t.Helper()
	if uint64(len(got)) != st.Published-st.Dropped {
		t.Errorf("%d came of %d, %d dropped", len(got), st.Published, st.Dropped)
	}
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("message %d came after %d", got[i], got[i-1])
		}
	}
	if n := len(got); n < 2 || got[0] != 0 || got[n-1] != said-1 {
		t.Fatalf("got %v of %d", got, said)
	}
	// What was dropped are those before, or those behind what waited.
	if latest := got[len(got)-2] == said-2; latest != (policy != session.DropNewest) {
		t.Errorf("policy %v: got %v of %d", policy, got, said)
	}
}

// Loops that have not come to look at what was published hold up a publisher in mode
// pool; inline it would hold up the loop, and is closed.
func TestHubHoldsPublishersUp(t *testing.T) {
	for mode, want := range map[engine.Mode]string{engine.Pool: "peer_closed", engine.Inline: "over_limit"} {
		t.Run(mode.String(), func(t *testing.T) {
			e, err := engine.New(engine.WithMode(mode), engine.WithLogger(engine.NoLog{}), engine.WithOutbound(0, 1<<10, 4<<10),
				engine.WithGroups(func(string) session.GroupConfig { return session.GroupConfig{QueueBytes: 16 << 20} }))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(hub{e.Group("all")}, frame.Lines()))
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, l.Addr().String()).(halfCloser)
			// One read has more of them than loops may be behind with, and they go out
			// when the handler has returned.
			said := bytes.Repeat([]byte("what one says to all\n"), 10_000)
			var writer sync.WaitGroup
			writer.Go(func() { _, _ = c.Write(said) }) // fails if it is closed
			got := make([]byte, len(said))
			n, err := io.ReadFull(c, got)
			if mode == engine.Pool && err != nil || !bytes.HasPrefix(said, got[:n]) {
				t.Errorf("%d of %d bytes came back: %v", n, len(said), err)
			}
			writer.Wait()
			c.Close()
			for deadline := time.Now().Add(patience); e.Stats().Closed[want] != 1; {
				if time.Now().After(deadline) {
					t.Fatalf("closed: %v", e.Stats().Closed)
				}
			}
		})
	}
}
