package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Clients.

// impatient does not wait for peers' FIN.
var impatient = engine.WithLinger(20 * time.Millisecond)

// clientComesBack: it connects to a host that comes late, talks, and is there again when
// the host has been away.
func clientComesBack(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	d.onMessage = func(s *session.Session, f session.Frame) { check(t, s.Send(f.Bytes())) }
	c := v.client(h, d)
	c.Start()
	d.await(t, "reconnect 2", 1)
	if err := c.Err(); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Err is %v, want a refusal", err)
	}
	if c.Session() != nil {
		t.Error("there is a session")
	}
	h.up()
	peer := h.accept()
	mustEcho(t, peer, "one")
	must(t, c.Send([]byte("two")))
	mustRead(t, peer, "two")
	if err := c.Err(); err != nil || c.Session() == nil {
		t.Errorf("connected: Err is %v, Session %v", err, c.Session())
	}
	h.down()
	d.await(t, "disconnect peer_closed", 1)
	until(t, "Err tells why", func() bool { return c.Err() != nil })
	h.up()
	mustEcho(t, h.accept(), "three")
	must(t, c.Close())
	await(t, "the end", c.Done())
	d.mustBe(t, "reconnect", "open", "connect", "message one", "close peer_closed", "disconnect peer_closed",
		"reconnect", "open", "connect", "message three", "close local_close", "disconnect local_close")
}

// clientQueues: what is sent while there is no session comes in order, after what
// OnConnect sends with the session, and before what comes later.
func clientQueues(t *testing.T, s setting) {
	const early, late = 100, 100
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	d.onOpen = func(s *session.Session) { check(t, s.Send([]byte("hello"))) }
	d.onConnect = func(c *engine.Client, s *session.Session) {
		check(t, c.Send([]byte("from OnConnect, by the client")))
		check(t, s.Send([]byte("from OnConnect")))
	}
	c := v.clientFor(h, session.Framed(d, frame.Lines()), d.options()...)
	var told [early]atomic.Int32
	for i := range early {
		var err error
		if i%2 == 0 {
			err = c.Send(fmt.Append(nil, "early ", i))
		} else {
			err = c.SendNotify(fmt.Append(nil, "early ", i), func(err error) {
				check(t, err)
				told[i].Add(1)
			})
		}
		must(t, err)
	}
	var bad *frame.Error
	if err := c.Send([]byte("not\na line")); !errors.As(err, &bad) {
		t.Errorf("a message that is no line: %v, want a frame.Error", err)
	}
	if got := v.engine.Stats().Queued; got != int64(early*len("early ")+10+2*(early-10)) {
		t.Errorf("Stats.Queued is %d", got)
	}
	c.Start()
	h.up()
	peer := h.accept()
	var all sync.WaitGroup
	all.Go(func() {
		for i := range late {
			check(t, c.Send(fmt.Append(nil, "late ", i)))
		}
	})
	mustRead(t, peer, "hello\nfrom OnConnect\n")
	nextLate, client := 0, 0
	for i := 0; i < early; {
		switch line := readLine(t, peer); {
		case line == fmt.Sprint("early ", i):
			i++
		default:
			t.Fatalf("%q came when %d early ones had", line, i)
		}
	}
	for nextLate+client < late+1 {
		switch line := readLine(t, peer); line {
		case "from OnConnect, by the client":
			client++
		case fmt.Sprint("late ", nextLate):
			nextLate++
		default:
			t.Fatalf("%q came when %d late ones had", line, nextLate)
		}
	}
	all.Wait()
	for i := 1; i < early; i += 2 {
		until(t, "completions", func() bool { return told[i].Load() == 1 })
	}
	until(t, "nothing queued", func() bool { return v.engine.Stats().Queued == 0 }) // whoever wrote the last line may not have counted it
	d.mustBeRight(t)
}

// readLine reads to the end of a line, and no further.
func readLine(t *testing.T, c net.Conn) string {
	t.Helper()
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("read: %v after %q", err, line)
		}
		if one[0] == '\n' {
			return string(line)
		}
		line = append(line, one[0])
	}
}

// clientRefuses: the errors of Send.
func clientRefuses(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	fast := v.client(h, d, engine.WithReconnectQueue(0))
	small := v.client(h, d, engine.WithReconnectQueue(1000))
	never := func(error) { t.Error("a completion is called of a message that was refused") }
	wants := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	wants("fail fast", fast.Send([]byte("x")), session.ErrNotConnected)
	wants("fail fast", fast.SendNotify([]byte("x"), never), session.ErrNotConnected)
	must(t, small.Send(make([]byte, 500)))
	wants("full", small.Send(make([]byte, 400)), session.ErrBufferFull)
	wants("full", small.SendNotify(make([]byte, 373), never), session.ErrBufferFull)
	must(t, small.Send(make([]byte, 372)))
	wants("full", small.Send(nil), session.ErrBufferFull)
	for _, c := range []*engine.Client{fast, small} {
		must(t, c.Close())
		wants("closed", c.Send([]byte("x")), session.ErrClosed)
		wants("closed", c.SendNotify([]byte("x"), never), net.ErrClosed)
		wants("Close again", c.Close(), session.ErrClosed)
		wants("Connect", c.Connect(t.Context()), session.ErrClosed)
		c.Start() // does nothing
		await(t, "the end", c.Done())
	}
	d.mustBe(t, "disconnect session: use of closed network connection")
	if got := v.engine.Stats().Unsent; got != 872 {
		t.Errorf("Stats.Unsent is %d, want 872", got)
	}
}

// clientConnects: Connect makes one attempt and tells its error.
func clientConnects(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	c := v.client(h, d)
	var op *net.OpError
	if err := c.Connect(t.Context()); !errors.As(err, &op) || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("nobody listens: %v, want a refusal", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired")
	cancel(tired)
	if err := c.Connect(ended); err == nil {
		t.Error("Connect succeeds with a context that is done")
	}
	d.mustBe(t) // it does not go on by itself
	h.up()
	d.onConnect = func(c *engine.Client, _ *session.Session) {
		if err := c.Connect(context.Background()); !errors.Is(err, engine.ErrDeadlock) {
			t.Errorf("Connect in OnConnect: %v, want ErrDeadlock", err)
		}
	}
	d.onReconnect = func(c *engine.Client, _ int) {
		if err := c.Connect(context.Background()); !errors.Is(err, engine.ErrDeadlock) {
			t.Errorf("Connect in OnReconnect: %v, want ErrDeadlock", err)
		}
		if err := v.engine.Close(); !errors.Is(err, engine.ErrDeadlock) {
			t.Errorf("Engine.Close in OnReconnect: %v, want ErrDeadlock", err)
		}
	}
	must(t, c.Connect(t.Context()))
	d.mustBe(t, "open", "connect")
	must(t, c.Connect(t.Context()))
	must(t, c.Connect(ended)) // there is a session
	peer := h.accept()
	must(t, c.Send([]byte("x")))
	mustRead(t, peer, "x")
	peer.Close()
	d.await(t, "connect", 2) // now it does
	h.accept()
	d.mustBe(t, "open", "connect", "close peer_closed", "disconnect peer_closed", "reconnect", "open", "connect")
}

// clientConnectsInBetween: Connect does not wait for the back-off, and many may call it.
func clientConnectsInBetween(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	c := v.client(h, d, engine.WithBackoff(time.Hour, time.Hour))
	c.Start()
	until(t, "the first attempt has failed", func() bool { return c.Err() != nil })
	h.up()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { check(t, c.Connect(t.Context())) })
	}
	all.Wait()
	h.accept().Close()
	d.await(t, "disconnect peer_closed", 1)
	must(t, c.Connect(t.Context()))
	h.accept()
	must(t, c.Close())
	await(t, "the end", c.Done())
	d.mustBe(t, "open", "connect", "close peer_closed", "disconnect peer_closed", "open", "connect", "close local_close", "disconnect local_close")
	if n := len(h.accepted); n != 0 {
		t.Errorf("%d connections too many", n)
	}
}

// clientCloses closes clients wherever they are in their life, from wherever that can be.
func clientCloses(t *testing.T, s setting) {
	const unsent = "disconnect session: use of closed network connection"
	closeIt := func(t *testing.T, c *engine.Client) {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close again: %v, want net.ErrClosed", err)
		}
	}
	for name, c := range map[string]struct {
		set  func(*testing.T, *host, *diary)
		act  func(*testing.T, *host, *diary, *engine.Client)
		want []string
	}{
		"at rest": {
			act:  func(t *testing.T, _ *host, _ *diary, c *engine.Client) { closeIt(t, c) },
			want: []string{unsent},
		},
		"while it waits": {
			act: func(t *testing.T, _ *host, d *diary, c *engine.Client) {
				c.Start()
				d.await(t, "reconnect 1", 1)
				closeIt(t, c)
			},
			want: []string{"reconnect", unsent},
		},
		"in OnReconnect": {
			set: func(t *testing.T, _ *host, d *diary) {
				d.onReconnect = func(c *engine.Client, _ int) { closeIt(t, c) }
			},
			act:  func(_ *testing.T, _ *host, _ *diary, c *engine.Client) { c.Start() },
			want: []string{"reconnect", unsent},
		},
		"connected": {
			act: func(t *testing.T, h *host, d *diary, c *engine.Client) {
				h.up()
				must(t, c.Connect(t.Context()))
				mustRead(t, h.accept(), "queued")
				closeIt(t, c)
			},
			want: []string{"open", "connect", "close local_close", "disconnect local_close"},
		},
		"in OnConnect": { // what waits has not been moved to the session
			set: func(t *testing.T, h *host, d *diary) {
				h.up()
				d.onConnect = func(c *engine.Client, _ *session.Session) { closeIt(t, c) }
				d.onDisconnect = func(_ *engine.Client, why *engine.DisconnectError) {
					if why.Messages != 2 || why.Notified != 1 || why.Bytes != 14 {
						t.Errorf("OnDisconnect got %+v", why)
					}
				}
			},
			act:  func(_ *testing.T, _ *host, _ *diary, c *engine.Client) { c.Start() },
			want: []string{"open", "connect", "close local_close", "disconnect local_close"},
		},
		"in OnMessage": {
			set: func(t *testing.T, h *host, d *diary) { h.up() },
			act: func(t *testing.T, h *host, d *diary, c *engine.Client) {
				d.onMessage = func(*session.Session, session.Frame) { closeIt(t, c) }
				c.Start()
				peer := h.accept()
				_, err := io.WriteString(peer, "bye")
				must(t, err)
			},
			want: []string{"open", "connect", "message bye", "close local_close", "disconnect local_close"},
		},
		"in OnDisconnect": {
			set: func(t *testing.T, h *host, d *diary) {
				h.up()
				d.onDisconnect = func(c *engine.Client, _ *engine.DisconnectError) {
					if c.Close() == nil { // the first time
						return
					}
				}
			},
			act: func(t *testing.T, h *host, _ *diary, c *engine.Client) {
				c.Start()
				peer := h.accept()
				mustRead(t, peer, "queuednotified")
				peer.Close()
			},
			want: []string{"open", "connect", "close peer_closed", "disconnect peer_closed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := s.launch(t, impatient)
			h, d := newHost(t, s.network), newDiary()
			if c.set != nil {
				c.set(t, h, d)
			}
			client := v.client(h, d)
			must(t, client.Send([]byte("queued")))
			told := make(chan error, 2)
			must(t, client.SendNotify([]byte("notified"), func(err error) { told <- err }))
			c.act(t, h, d, client)
			await(t, "the end", client.Done())
			d.mustBe(t, c.want...)
			select {
			case <-told:
			default:
				t.Error("the completion was not called")
			}
			if len(told) > 0 {
				t.Error("the completion was called twice")
			}
			if st := v.engine.Stats(); st.Clients != 0 || st.Queued != 0 {
				t.Errorf("%d clients and %d bytes queued are left", st.Clients, st.Queued)
			}
			h.down()
		})
	}
}

// clientAccounts: a peer that reads nothing resets the connection. Each message has been
// taken by the kernel or is reported unsent, and the bytes add up.
func clientAccounts(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	lost := make(chan *engine.DisconnectError, 1)
	d.onDisconnect = func(_ *engine.Client, why *engine.DisconnectError) { lost <- why }
	sessions := make(chan *session.Session, 1)
	d.onConnect = func(_ *engine.Client, s *session.Session) { sessions <- s }
	c := v.clientFor(h, session.Framed(d, frame.Default()), d.options(engine.WithReconnectQueue(16<<20))...)
	const size, around = 10_000, 4
	var plain, notified, taken, unsent int
	var mu sync.Mutex
	send := func(i int) error {
		if i%3 != 0 {
			err := c.Send(make([]byte, size))
			if err == nil {
				plain++
			}
			return err
		}
		err := c.SendNotify(make([]byte, size), func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else {
				unsent++
			}
		})
		if err == nil {
			notified++
		}
		return err
	}
	for i := range 1000 { // some wait for the session, and go to it whatever its limits
		must(t, send(i))
	}
	h.up()
	must(t, c.Connect(t.Context()))
	peer := h.accept()
	for i := 0; ; i++ {
		err := send(i)
		if errors.Is(err, session.ErrBufferFull) {
			break
		}
		must(t, err)
	}
	reset(t, peer)
	why := await(t, "OnDisconnect", lost)
	opened := await(t, "the session", sessions)
	must(t, c.Close())
	await(t, "the end", c.Done())
	mu.Lock()
	defer mu.Unlock()
	if taken+unsent != notified || why.Notified != unsent {
		t.Errorf("of %d with completions %d were taken and %d not; OnDisconnect tells of %d", notified, taken, unsent, why.Notified)
	}
	accepted := plain + notified
	left := int(opened.Stats().BytesOut) // of which only the last message may be in part
	whole := left / (size + around)
	if why.Messages != accepted-whole || why.Bytes != accepted*(size+around)-left {
		t.Errorf("of %d messages the kernel took %d bytes, %d messages; OnDisconnect tells of %d messages, %d bytes unsent",
			accepted, left, whole, why.Messages, why.Bytes)
	}
	if why.Messages < 10 {
		t.Errorf("only %d messages were unsent", why.Messages)
	}
	until(t, "Stats.Unsent tells the same", func() bool { return v.engine.Stats().Unsent == uint64(why.Bytes) })
}

// clientKeepsHandler: it comes back with its own handler, whatever its session's became,
// and notices the end although that was changed.
func clientKeepsHandler(t *testing.T, s setting) {
	v := s.launch(t, impatient)
	h, d := newHost(t, s.network), newDiary()
	h.up()
	d.onMessage = func(s *session.Session, _ session.Frame) { s.SetHandler(newEcho()) }
	v.client(h, d).Start()
	for i := range 3 {
		peer := h.accept()
		_, err := io.WriteString(peer, "change")
		must(t, err)
		d.await(t, "message change", i+1)
		mustEcho(t, peer, "x")
		peer.Close()
	}
	d.await(t, "disconnect peer_closed", 3)
	d.mustBeRight(t)
}

// clientSurvives: its functions panic, or end their goroutines.
func clientSurvives(t *testing.T, s setting) {
	for name, end := range map[string]func(){"panic": func() { panic("as asked") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			v := s.launch(t, impatient)
			h, d := newHost(t, s.network), newDiary()
			broken := atomic.Bool{}
			broken.Store(true)
			die := func() {
				if broken.Load() {
					end()
				}
			}
			d.onConnect = func(*engine.Client, *session.Session) { die() }
			d.onDisconnect = func(*engine.Client, *engine.DisconnectError) { die() }
			d.onReconnect = func(*engine.Client, int) { die() }
			c := v.client(h, d)
			c.Start()
			d.await(t, "reconnect 2", 1)
			h.up()
			d.await(t, "disconnect handler_panic", 3)
			broken.Store(false)
			for next := d.next(); d.last() != "message x"; next = d.next() {
				select {
				case peer := <-h.accepted:
					_, _ = io.WriteString(peer, "x") // it fails where the session has ended
				case <-next:
				}
			}
			broken.Store(true)
			must(t, c.Send([]byte("plain")))
			h.down()
			for range 3 {
				check(t, c.SendNotify([]byte("x"), func(error) { end() }))
			}
			must(t, c.Close())
			await(t, "the end", c.Done())
			d.mustBeRight(t)
		})
	}
}

// clientEndsWithEngine: the engine ends while clients are at rest, wait, dial and are
// connected, with messages to report.
func clientEndsWithEngine(t *testing.T, s setting) {
	for name, end := range map[string]func(*server){
		"Close":    func(v *server) { must(t, v.engine.Close()) },
		"Shutdown": func(v *server) { v.shutdown() },
	} {
		t.Run(name, func(t *testing.T) {
			v := s.launch(t, impatient)
			h, gone := newHost(t, s.network), newHost(t, s.network)
			h.up()
			rests, waits, connected := newDiary(), newDiary(), newDiary()
			all := []*engine.Client{v.client(gone, rests), v.client(gone, waits), v.client(h, connected)}
			told := make(chan error, 2)
			for _, c := range all[:2] {
				must(t, c.Send([]byte("never sent")))
				must(t, c.SendNotify([]byte("x"), func(err error) { told <- err }))
			}
			all[1].Start()
			must(t, all[2].Connect(t.Context()))
			peer := h.accept()
			go func() { // as a peer does at FIN
				_, _ = io.Copy(io.Discard, peer)
				peer.Close()
			}()
			waits.await(t, "reconnect 1", 1)
			end(v)
			for range 2 {
				if err := await(t, "the completion", told); !errors.Is(err, engine.ErrStopped) {
					t.Errorf("the completion got %v, want ErrStopped", err)
				}
			}
			for _, c := range all {
				select {
				case <-c.Done():
				default:
					t.Error("the engine has ended, and a client has not")
				}
				if err := c.Send(nil); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Send: %v, want net.ErrClosed", err)
				}
			}
			rests.mustBe(t, "disconnect engine: stopped")
			waits.mustBe(t, "reconnect", "disconnect engine: stopped")
			connected.mustBe(t, "open", "connect", "close shutdown", "disconnect shutdown")
			if _, err := v.engine.NewClient(h.network, h.address, newEcho()); !errors.Is(err, engine.ErrStopped) {
				t.Errorf("NewClient after the end: %v, want ErrStopped", err)
			}
		})
	}
}
