package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// patience bounds what should take much less.
const patience = 30 * time.Second

// address is a free port, so that a server can come back on it.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start serves in this process until stop, or the test's end.
func start(t *testing.T, addr string, st store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- serve(ctx, addr, st, signaller{listening}) }()
	select {
	case <-listening:
	case err := <-ended:
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error("serve:", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// signaller closes a channel at the first Write.
type signaller struct{ first chan struct{} }

func (w signaller) Write(p []byte) (int, error) {
	close(w.first)
	return len(p), nil
}

// peer is a client that is nothing but a socket.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Scanner
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &peer{t, conn, bufio.NewScanner(conn)}
}

func (p *peer) send(lines ...string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next event; nil at the end.
func (p *peer) next() *event {
	p.t.Helper()
	if !p.in.Scan() {
		return nil
	}
	var e event
	if err := json.Unmarshal(p.in.Bytes(), &e); err != nil {
		p.t.Fatalf("%q: %v", p.in.Text(), err)
	}
	return &e
}

// until returns the events up to the first of a kind.
func (p *peer) until(is string) (seen []event) {
	p.t.Helper()
	for {
		e := p.next()
		if e == nil {
			p.t.Fatalf("the connection ended after %v, before %q", seen, is)
		}
		seen = append(seen, *e)
		if e.Is == is {
			return seen
		}
	}
}

func TestRoomTellsAndRemembers(t *testing.T) {
	addr, st := address(t), store{dir: t.TempDir(), keep: 2}
	stop := start(t, addr, st)
	ann := dial(t, addr)
	ann.send(`{"do":"join","room":"r","name":"ann","key":"a"}`)
	ann.until("joined")
	bob := dial(t, addr)
	bob.send(`{"do":"join","room":"r","name":"bob","key":"b"}`)
	if got := bob.until("joined"); !slices.Equal(got[0].Names, []string{"ann", "bob"}) {
		t.Errorf("bob saw %v, want both names", got)
	}
	if got := ann.until("came"); got[0].Name != "bob" {
		t.Errorf("ann saw %v, want that bob came", got)
	}
	for _, text := range []string{"one", "two", "three"} {
		n := map[string]string{"one": "1", "two": "2", "three": "3"}[text]
		ann.send(`{"do":"say","n":`+n+`,"text":"`+text+`"}`, `{"do":"say","n":`+n+`,"text":"`+text+`"}`)
	}
	for seq, want := range []string{"one", "two", "three"} {
		for _, p := range []*peer{ann, bob} {
			if e := p.next(); e == nil || e.Text != want || e.Seq != seq+1 || e.From != "ann" {
				t.Fatalf("heard %v, want %q as number %d", e, want, seq+1)
			}
		}
	}
	ann.conn.Close()
	bob.conn.Close()
	stop()

	start(t, addr, st) // another life of the room
	bob = dial(t, addr)
	bob.send(`{"do":"join","room":"r","name":"bob","key":"b","seen":2}`)
	if got := bob.until("joined"); len(got) != 2 || got[0].Text != "three" {
		t.Errorf("bob, who had seen two, got %v", got)
	}
	eve := dial(t, addr)
	eve.send(`{"do":"join","room":"r","name":"eve","key":"e"}`)
	if got := eve.until("joined"); len(got) != 3 || got[0].Text != "two" || got[1].Text != "three" {
		t.Errorf("eve, who is new, got %v", got)
	}
	ann = dial(t, addr)
	ann.send(`{"do":"join","room":"r","name":"ann","key":"a"}`, `{"do":"say","n":3,"text":"three"}`, `{"do":"say","n":4,"text":"four"}`)
	ann.until("joined")
	if got := ann.until("said"); got[len(got)-1].Text != "four" {
		t.Errorf("ann, who says again what was taken, hears %v", got)
	}
}

// TestGapIsTold: who comes back is told what it has missed and how much of that is
// forgotten; who comes for the first time has missed nothing.
func TestGapIsTold(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 2})
	ann := dial(t, addr)
	ann.send(`{"do":"join","room":"r","name":"ann","key":"a"}`)
	life := ann.until("joined")[0].Life
	for n := range 5 {
		ann.send(fmt.Sprintf(`{"do":"say","n":%d,"text":"x"}`, n+1))
		ann.until("said")
	}
	// Numbers 4 and 5 are remembered.
	said := []event{{Is: "said", Seq: 4}, {Is: "said", Seq: 5}}
	all := append([]event{{Is: "anew", Life: life}, {Is: "gap", Lost: 3}}, said...)
	for _, test := range []struct {
		life string
		seen int
		want []event
	}{
		{"", 0, said},
		{"", 1, append([]event{{Is: "gap", Lost: 2}}, said...)},
		{"", 3, said},
		{"", 4, said[1:]},
		{"", 5, nil},
		{"", 9, all}, // it must be of another life
		{life, 0, append([]event{{Is: "gap", Lost: 3}}, said...)},
		{life, 4, said[1:]},
		{life, 5, nil},
		{life, 9, all}, // the end of this one was lost
		{"another", 0, all},
		{"another", 4, all},
		{"another", 9, all},
	} {
		bob := dial(t, addr)
		bob.send(string(line(request{Do: "join", Room: "r", Name: "bob", Key: "b", Life: test.life, Seen: test.seen})))
		got := bob.until("joined")
		last := len(got) - 1
		if got[last].Life != life {
			t.Errorf("life %q, want %q", got[last].Life, life)
		}
		same := func(a, b event) bool { return a.Is == b.Is && a.Seq == b.Seq && a.Lost == b.Lost && a.Life == b.Life }
		if !slices.EqualFunc(got[:last], test.want, same) {
			t.Errorf("who has seen %d of life %q gets %v, want %v", test.seen, test.life, got[:last], test.want)
		}
	}
}

func TestNames(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 10})
	first := dial(t, addr)
	first.send(`{"do":"join","room":"r","name":"ann","key":"a"}`)
	first.until("joined")

	other := dial(t, addr)
	other.send(`{"do":"join","room":"r","name":"ann","key":"x"}`)
	if e := other.until("error"); !strings.Contains(e[0].Text, errTaken.Error()) {
		t.Errorf("a second ann got %v", e)
	}
	if e := other.next(); e != nil {
		t.Errorf("and then %v, want the end", e)
	}

	again := dial(t, addr) // the first one's connection died, and nobody has noticed
	again.send(`{"do":"join","room":"r","name":"ann","key":"a"}`)
	if e := again.until("joined"); !slices.Equal(e[len(e)-1].Names, []string{"ann"}) {
		t.Errorf("ann came back and saw %v", e)
	}
	if e := first.next(); e != nil {
		t.Errorf("the old connection got %v, want its end", e)
	}
	again.send(`{"do":"who"}`)
	if e := again.until("names"); !slices.Equal(e[0].Names, []string{"ann"}) {
		t.Errorf("here are %v", e)
	}
}

func TestBadRequestsEndTheConnection(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 10})
	for text, want := range map[string]error{
		`{"do":"fly"}`: errRequest,
		`{"do":"join","room":"../x","name":"a","key":"k"}`:                                               errName,
		`{"do":"join","room":"r","name":"","key":"k"}`:                                                   errName,
		`{"do":"join","room":"r","name":"a"}`:                                                            errKey,
		`{"do":"join","room":"r","name":"a","key":"k","seen":-1}`:                                        errNumber,
		string(line(request{Do: "join", Room: "r", Name: "a", Key: "k", Life: strings.Repeat("x", 65)})): errLife,
		`{"do":"say","n":1,"text":""}`:                                                                   errText,
		`{"do":"say","n":0,"text":"x"}`:                                                                  errNumber,
		`{"do":"say","n":1,"text":"` + strings.Repeat("x", 2049) + `"}`:                                  errText,
		`{"do":"say","n":1,"text":"x"}`:                                                                  errNowhere,
		`nonsense`:                                                                                       nil,
	} {
		p := dial(t, addr)
		p.send(text)
		e := p.until("error")
		if want != nil && !strings.Contains(e[0].Text, want.Error()) {
			t.Errorf("%.60s: %v, want %v", text, e[0].Text, want)
		}
		if e := p.next(); e != nil {
			t.Errorf("%.60s: then %v, want the end", text, e)
		}
	}
	p := dial(t, addr)
	p.send(strings.Repeat("x", lineMax+1))
	if e := p.next(); e != nil {
		t.Errorf("a line that is too long: %v, want the end", e)
	}
}

// TestManyNames: who joins a full room is told so, with the names that fit, and how many
// more there are.
func TestManyNames(t *testing.T) {
	const many = 600
	addr := address(t)
	start(t, addr, store{keep: 10})
	check := func(e event, there int) {
		t.Helper()
		if len(e.Names) != min(there, namesMax) || len(e.Names)+e.More != there {
			t.Fatalf("%q names %d and %d more, want %d in all", e.Is, len(e.Names), e.More, there)
		}
	}
	var last *peer
	for i := range many {
		last = dial(t, addr)
		last.send(fmt.Sprintf(`{"do":"join","room":"r","name":"%0*d","key":"k"}`, nameMax, i))
		check(last.until("joined")[0], i+1)
	}
	last.send(`{"do":"who"}`)
	got := last.until("names")
	check(got[len(got)-1], many)
	if text := here(event{Names: []string{"ann", "bob"}, More: 7}); text != "[ann bob] and 7 more" {
		t.Errorf("a client shows %q", text)
	}
}

// TestDisplaced: a session whose place another one has taken says nothing any more, be
// that one still there or not.
func TestDisplaced(t *testing.T) {
	e, err := engine.New(engine.WithGroups(slowReaders))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r, err := openRoom(e, store{keep: 10}, "r")
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan *session.Session, 2)
	l, err := e.Listen("tcp", "127.0.0.1:0", opener(func(s *session.Session) { opened <- s }))
	if err != nil {
		t.Fatal(err)
	}
	for range cap(opened) {
		dial(t, l.Addr().String())
	}
	first, second := <-opened, <-opened
	for _, s := range []*session.Session{first, second} {
		if !r.enter(s, request{Do: "join", Room: "r", Name: "ann", Key: "k"}) {
			t.Fatal("there is no place for ann")
		}
	}
	say := func() {
		t.Helper()
		if err := r.say(first, "ann", request{Do: "say", N: 1, Text: "hi"}); err != nil || r.last != 0 {
			t.Errorf("%v, %d messages were said, want none", err, r.last)
		}
	}
	say()
	r.leave(second, "ann")
	say()
}

// opener is called with each session that opens.
type opener func(*session.Session)

func (f opener) OnOpen(s *session.Session)                 { f(s) }
func (f opener) OnMessage(*session.Session, session.Frame) {}

func TestSlowReadersByGroup(t *testing.T) {
	if p := slowReaders(saidPrefix + "r").Slow; p != session.CloseSlow {
		t.Errorf("said: policy %v", p)
	}
	if p := slowReaders(presencePrefix + "r").Slow; p != session.Conflate {
		t.Errorf("presence: policy %v", p)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"fly"}, {"serve", "-history", "0"}, {"serve", "-history", "1001"}, {"serve", "x"}, {"join"}, {"join", "-name", "a b"}, {"join", "-name", "a", "-room", "/"},
	} {
		err := run(t.Context(), args, strings.NewReader(""), &strings.Builder{})
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("chat %v: %v, want a usage error", args, err)
		}
	}
	var help strings.Builder
	if err := run(t.Context(), nil, nil, &help); err != nil || !strings.Contains(help.String(), "chat join") {
		t.Errorf("help: %v, %q", err, help.String())
	}
}
