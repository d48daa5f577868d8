package enginetest_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/engine/enginetest"
	"github.com/weirnet/weir/session"
)

var echo = session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })

func ExampleNew() {
	test := func(t *testing.T) {
		c := enginetest.New(t, echo).Dial()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len("hello"))
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "hello" {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	_ = test // go test calls it when it is called TestEcho
}

// TestDialManyBytes sends more than all buffers hold, in both directions.
func TestDialManyBytes(t *testing.T) {
	h := enginetest.New(t, echo, engine.WithLoops(2))
	c := h.Dial()
	sent := bytes.Repeat([]byte("0123456789abcdef!"), 200_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes of %d came back, error %v", len(got), len(sent), err)
	}
}

func TestDialDeadline(t *testing.T) {
	c := enginetest.New(t, echo).Dial()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	_, _ = c.Write([]byte("x"))
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("read: %d, %v", n, err)
	}
}
