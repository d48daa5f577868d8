package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// host is who clients under test connect to: a listener of package net that goes away and
// comes back at the same address.
type host struct {
	t       testing.TB
	network string
	address string

	mu       sync.Mutex
	listener net.Listener
	all      []stream
	accepted chan stream
}

// newHost has an address, and does not listen on it.
func newHost(t testing.TB, network string) *host {
	t.Helper()
	h := &host{t: t, network: network, address: lastingAddress(t, network), accepted: make(chan stream, 1<<12)}
	t.Cleanup(h.down)
	return h
}

// lastingAddress is one that stays free while nobody listens on it: the kernel takes the
// ports of clients from above 32767, and so might take this one.
func lastingAddress(t testing.TB, network string) string {
	t.Helper()
	switch network {
	case "unix":
		return freeAddress(t, network)
	case "tcp6":
		return lastingPort("::1")
	}
	return lastingPort("127.0.0.1")
}

func lastingPort(name string) string {
	for {
		address := net.JoinHostPort(name, strconv.Itoa(10_000+rand.IntN(22_000)))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
}

// up listens.
func (h *host) up() {
	h.t.Helper()
	l, err := net.Listen(h.network, h.address)
	must(h.t, err)
	h.mu.Lock()
	h.listener, h.address = l, l.Addr().String()
	h.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			ours := h.listener == l
			if ours {
				h.all = append(h.all, c.(stream))
			}
			h.mu.Unlock()
			if !ours {
				c.Close()
				return
			}
			h.accepted <- c.(stream)
		}
	}()
}

// down stops listening and closes all connections.
func (h *host) down() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listener != nil {
		h.listener.Close()
	}
	for _, c := range h.all {
		c.Close()
	}
	h.listener, h.all = nil, nil
}

// accept returns the next connection.
func (h *host) accept() stream {
	h.t.Helper()
	c := await(h.t, "a connection of the client", h.accepted)
	must(h.t, c.SetDeadline(time.Now().Add(2*patience)))
	return c
}

// diary writes down what a client and its handler are told, one line for each call, and
// checks that no two come at the same time.
type diary struct {
	onOpen       func(*session.Session)
	onMessage    func(*session.Session, session.Frame)
	onConnect    func(*engine.Client, *session.Session)
	onDisconnect func(*engine.Client, *engine.DisconnectError)
	onReconnect  func(*engine.Client, int)

	mu       sync.Mutex
	lines    []string
	more     chan struct{}
	busy     string
	mistakes []string
}

func newDiary() *diary { return &diary{more: make(chan struct{})} }

// quick is a back-off that tests need not wait for.
var quick = engine.WithBackoff(time.Millisecond, 4*time.Millisecond)

// options are those by which a client writes.
func (d *diary) options(more ...engine.ClientOption) []engine.ClientOption {
	return append([]engine.ClientOption{
		quick,
		engine.OnConnect(func(c *engine.Client, s *session.Session) {
			defer d.enter("connect")()
			if c.Session() != s {
				d.mistake("OnConnect: Session is not the session")
			}
			if d.onConnect != nil {
				d.onConnect(c, s)
			}
		}),
		engine.OnDisconnect(func(c *engine.Client, err error) {
			var why *engine.DisconnectError
			if !errors.As(err, &why) {
				d.mistake(fmt.Sprintf("OnDisconnect got a %T", err))
			}
			defer d.enter("disconnect " + reasonText(err))()
			if s := c.Session(); s != nil {
				d.mistake("OnDisconnect: there is a session")
			}
			if d.onDisconnect != nil {
				d.onDisconnect(c, why)
			}
		}),
		engine.OnReconnect(func(c *engine.Client, attempt int) {
			defer d.enter(fmt.Sprint("reconnect ", attempt))()
			if d.onReconnect != nil {
				d.onReconnect(c, attempt)
			}
		}),
	}, more...)
}

// reasonText is the reason in err, or err itself.
func reasonText(err error) string {
	var closed *session.CloseError
	if errors.As(err, &closed) {
		return closed.Reason.String()
	}
	var why *engine.DisconnectError
	if errors.As(err, &why) {
		err = why.Err
	}
	return err.Error()
}

func (d *diary) OnOpen(s *session.Session) {
	defer d.enter("open")()
	if d.onOpen != nil {
		d.onOpen(s)
	}
}

func (d *diary) OnMessage(s *session.Session, f session.Frame) {
	defer d.enter("message " + string(f.Bytes()))()
	if d.onMessage != nil {
		d.onMessage(s, f)
	}
}

func (d *diary) OnClose(_ *session.Session, reason error) { d.enter("close " + reasonText(reason))() }

// enter writes a line and returns what ends the call.
func (d *diary) enter(line string) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy != "" {
		d.mistakes = append(d.mistakes, fmt.Sprintf("%q comes while %q is under way", line, d.busy))
	}
	d.busy = line
	d.lines = append(d.lines, line)
	close(d.more)
	d.more = make(chan struct{})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = ""
	}
}

func (d *diary) mistake(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mistakes = append(d.mistakes, text)
}

// all returns what has been written.
func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.lines...)
}

// last returns the last line; there must be one.
func (d *diary) last() string {
	all := d.all()
	return all[len(all)-1]
}

// next is closed when a line more is written.
func (d *diary) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.more
}

// await waits until a line has been written so many times.
func (d *diary) await(t testing.TB, line string, times int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		n, more := 0, d.more
		for _, l := range d.lines {
			if l == line {
				n++
			}
		}
		d.mu.Unlock()
		if n >= times {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%q came %d times, want %d, in\n%s", line, n, times, strings.Join(d.all(), "\n"))
		}
	}
}

// mustBe wants these lines and no others; attempts in a row are one line, without a number.
func (d *diary) mustBe(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for _, line := range d.all() {
		if strings.HasPrefix(line, "reconnect") {
			line = "reconnect"
		}
		if n := len(got); line != "reconnect" || n == 0 || got[n-1] != line {
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	d.mustBeRight(t)
}

func (d *diary) mustBeRight(t testing.TB) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.mistakes {
		t.Error(m)
	}
}

// client makes a client of h that writes into d.
func (v *server) client(h *host, d *diary, more ...engine.ClientOption) *engine.Client {
	v.t.Helper()
	return v.clientFor(h, d, d.options(more...)...)
}

// clientFor makes a client that is closed at the end of the test, and waited for.
func (v *server) clientFor(h *host, handler session.Handler, opts ...engine.ClientOption) *engine.Client {
	v.t.Helper()
	c, err := v.engine.NewClient(h.network, h.address, handler, opts...)
	must(v.t, err)
	v.t.Cleanup(func() {
		_ = c.Close() // the test may have done so
		await(v.t, "the end of the client", c.Done())
	})
	return c
}
