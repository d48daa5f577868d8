package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// page returns the rows of the table about calls in docs/protocol.md.
func page(t *testing.T) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/protocol.md")
	must(t, err)
	_, section, found := strings.Cut(string(text), "\n## Calls\n")
	if !found {
		t.Fatal("the page has no section about calls")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| step ") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows
}

// TestDocumentedBytes: both ends send what docs/protocol.md says.
func TestDocumentedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newPeer(t), newPeer(t)
		add := func(r *Request) (*message.Message, error) {
			n, err := r.Message.GetInt("n")
			return r.Message.Reply().Set("n", message.Int(n+1)), err
		}
		server.Handle("add", add)
		server.HandleApart("wait", func(r *Request) (*message.Message, error) {
			<-r.Context().Done()
			return nil, nil
		})
		c, s := newPair(t, client, server)
		var seen []string
		saw := func(step string, from, to *end) {
			p := from.take()
			if len(p) < 4 || !bytes.Equal(p[:4], []byte{0, 0, 0, byte(len(p) - 4)}) {
				t.Fatalf("%s: sent % x, not one frame", step, p)
			}
			seen = append(seen, fmt.Sprintf("| %s | `% x` |", step, p[4:]))
			to.deliver(p)
			synctest.Wait()
		}
		ended := 0
		ask := func(ctx context.Context, m *message.Message) {
			t.Helper()
			must(t, client.Go(ctx, c.session, m, func(*message.Message, error) { ended++ }))
		}

		ask(t.Context(), message.New("add").Set("n", message.Int(1)))
		saw("request `add` with `n` = 1", c, s)
		saw("its reply, `n` = 2", s, c)

		limited, stop := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer stop()
		ask(limited, message.New("wait"))
		saw("request `wait`, for 250 ms", c, s)
		stop()
		synctest.Wait()
		saw("its cancel", c, s)

		ask(t.Context(), message.New("no"))
		saw("request `no`, which nobody handles", c, s)
		saw("its error", s, c)

		client.OnPing(c.session)
		saw("ping", c, s)
		saw("pong", s, c)

		if ended != 3 || len(c.take())+len(s.take()) != 0 || c.session.Stats().MessagesIn != 3 {
			t.Errorf("%d calls have ended", ended)
		}
		if got, want := strings.Join(seen, "\n"), strings.Join(page(t), "\n"); got != want {
			t.Errorf("sent was\n%s\nthe page says\n%s", got, want)
		}
	})
}

// A reply, or an error, to a ping ends the session, and the ping with it.
func TestReplyToPing(t *testing.T) {
	for _, kind := range []message.Kind{message.KindReply, message.KindError} {
		synctest.Test(t, func(t *testing.T) {
			client := newPeer(t)
			c := newEnd(t, client)
			pinged := make(chan error, 1)
			go func() {
				_, err := client.Ping(t.Context(), c.session)
				pinged <- err
			}()
			synctest.Wait()
			id := c.sent()[0].Correlation
			c.get(of(kind, id, ""))
			if c.session.State() == session.Open {
				t.Errorf("a %v to a ping is taken", kind)
			}
			c.close()
			err := <-pinged
			if bad := (*ProtocolError)(nil); !errors.Is(err, ErrInDoubt) || !errors.As(err, &bad) || bad.Kind != kind || bad.Correlation != id {
				t.Errorf("Ping: %v", err)
			}
		})
	}
}
