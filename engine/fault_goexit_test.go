package engine_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestFault08HandlerExits ends the goroutine of a handler (runtime.Goexit), as
// t.FailNow does in a user's test. It is taken as a panic, and neither a worker nor a
// loop is lost.
func TestFault08HandlerExits(t *testing.T) {
	exit := func(s *session.Session) {
		if s.ID()&(1<<24-1) != 0 { // not the first session of the engine
			runtime.Goexit()
		}
	}
	parts := map[string]struct {
		set    func(*probe)
		act    func(*testing.T, stream, *session.Session)
		reason session.Reason
	}{
		"OnOpen": {
			func(p *probe) { p.onOpen = exit },
			func(*testing.T, stream, *session.Session) {}, session.ReasonHandlerPanic,
		},
		"OnMessage": {
			func(p *probe) {
				p.onMessage = func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()); exit(s) }
			},
			func(t *testing.T, c stream, _ *session.Session) { mustEcho(t, c, "sent before") }, session.ReasonHandlerPanic,
		},
		"OnPeerClose": {
			func(p *probe) { p.onPeerClose = exit },
			func(t *testing.T, c stream, _ *session.Session) { must(t, c.CloseWrite()) }, session.ReasonHandlerPanic,
		},
		"OnClose": {
			func(p *probe) {
				p.onClose = func(s *session.Session, why *session.CloseError) { p.closed <- ending{s, why}; exit(s) }
			},
			func(t *testing.T, c stream, _ *session.Session) { must(t, c.Close()) }, session.ReasonPeerClosed,
		},
		"completion": {
			func(*probe) {},
			func(t *testing.T, _ stream, s *session.Session) {
				must(t, s.SendNotify([]byte("x"), func(error) { exit(s) }))
			}, session.ReasonHandlerPanic,
		},
		"task": {
			func(*probe) {},
			func(t *testing.T, c stream, s *session.Session) {
				must(t, s.Post(func() { exit(s) }))
				mustEcho(t, c, "it ended the task only")
				must(t, c.Close())
			}, session.ReasonPeerClosed,
		},
	}
	modes := map[string][]engine.Option{
		"pool":          {pool},
		"one worker":    {pool, engine.WithPoolSize(1)},
		"an executor's": {pool, engine.WithExecutor(spawner{})},
		"run inline":    {pool, engine.WithExecutor(refuser{}), engine.WithOverload(engine.RunInline)},
		"inline":        {engine.WithMode(engine.Inline)},
		"inline, crash": {engine.WithMode(engine.Inline), engine.WithCrashOnPanic()},
		"pool, crash":   {pool, engine.WithCrashOnPanic()},
	}
	for mode, opts := range modes {
		for part, c := range parts {
			t.Run(mode+"/"+part, func(t *testing.T) {
				var log journal
				p := newProbe()
				c.set(p)
				v := serve(t, "tcp4", p, append([]engine.Option{engine.WithLoops(1), engine.WithHalfOpen(), engine.WithLogger(&log)}, opts...)...)
				healthy, _ := v.open()
				mustEcho(t, healthy, "x")
				for range 3 { // one more than any pool has workers
					conn, opened := v.open()
					c.act(t, conn, opened)
					if c.reason == session.ReasonHandlerPanic {
						_, err := io.Copy(io.Discard, conn)
						must(t, err)
						must(t, conn.Close())
					}
					reason := v.awaitClose(c.reason)
					var cause *session.PanicError
					if c.reason == session.ReasonHandlerPanic && (!errors.As(reason, &cause) || !strings.Contains(cause.Error(), "Goexit")) {
						t.Errorf("the cause is %v, want a PanicError that says Goexit", reason.Err)
					}
					mustEcho(t, healthy, "unhurt")
				}
				until(t, "it is logged", func() bool { return len(log.of("panic")) > 0 })
				if got := log.of("panic")[0]; !strings.Contains(got.text["value"], "Goexit") || !strings.Contains(got.text["stack"], "fault_goexit_test.go") {
					t.Errorf("logged as %v", got)
				}
				must(t, healthy.Close())
				v.shutdown()
			})
		}
	}
}

// TestFault08ExitLeavesNothingUndone: what a loop had still to do in the turn that a
// handler ended is done all the same: others' input, output, mail, deadlines and ends.
func TestFault08ExitLeavesNothingUndone(t *testing.T) {
	const conns = 50
	g, p := newGate(), newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		switch f.Bytes()[0] {
		case '!':
			runtime.Goexit()
		case 'b':
			g.pass()
		default:
			check(t, s.Send(f.Bytes()))
		}
	}
	v := serve(t, "tcp4", p, engine.WithMode(engine.Inline), engine.WithLoops(1))
	blocker := v.dial()
	await(t, "OnOpen", p.opened)
	var streams []stream
	var sessions []*session.Session
	for range conns {
		c, s := v.open()
		streams, sessions = append(streams, c), append(sessions, s)
	}
	_, err := io.WriteString(blocker, "b")
	must(t, err)
	await(t, "the loop is held up", g.entered)
	done := make(chan int, conns)
	for i, c := range streams { // all in one turn
		text := "echo"
		if i%10 == 5 {
			text = "!"
		}
		_, err := io.WriteString(c, text)
		must(t, err)
		must(t, sessions[i].Post(func() {
			done <- i
			if i%10 == 7 {
				runtime.Goexit() // in the middle of the mailbox
			}
		}))
	}
	close(g.open)
	for i, c := range streams {
		if i%10 == 5 {
			mustEnd(t, c)
			c.Close()
			continue
		}
		mustRead(t, c, "echo")
		mustEcho(t, c, "still there")
	}
	for range conns - conns/10 {
		await(t, "a task", done)
	}
	for _, c := range append(streams, blocker) {
		c.Close()
	}
	v.shutdown()
}

// spawner is an executor without a bound.
type spawner struct{}

func (spawner) TrySubmit(task func()) bool {
	go task()
	return true
}
