package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// lastWords is how long leaving waits for what was said to be heard.
const lastWords = 3 * time.Second

// join takes part in a room until in or ctx ends, or /quit.
func join(ctx context.Context, addr, room, name string, in io.Reader, out io.Writer) error {
	lines, err := codec()
	if err != nil {
		return err
	}
	e, err := engine.New(engine.WithMode(engine.Single), engine.WithLogger(engine.NoLog{}))
	if err != nil {
		return err
	}
	defer e.Close()
	c := newClient(room, name, rand.Text(), printer(out))
	conn, err := e.NewClient("tcp", addr, session.Framed(c, lines),
		engine.WithReconnectQueue(0), // unheard is the queue
		engine.OnDisconnect(c.disconnected),
		engine.OnReconnect(c.reconnecting),
	)
	if err != nil {
		return fmt.Errorf("-addr %s: %w", addr, err)
	}
	defer conn.Close()
	if err := conn.Connect(ctx); err != nil {
		return err
	}
	typed, failed := read(in)
	for {
		select {
		case text, ok := <-typed:
			switch {
			case !ok:
				return errors.Join(leave(ctx, c), <-failed)
			case text == "/quit":
				return leave(ctx, c)
			case text == "/who":
				c.who()
			case text != "":
				if err := c.say(text); err != nil {
					c.show("-- " + err.Error())
				}
			}
		case err := <-c.refused:
			return fmt.Errorf("the server says: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
}

// leave waits a little for what was said last.
func leave(ctx context.Context, c *client) error {
	select {
	case <-c.allHeard():
		return nil
	case err := <-c.refused:
		return fmt.Errorf("the server says: %w", err)
	case <-ctx.Done():
	case <-time.After(lastWords):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%d messages have not reached the room", len(c.unheard))
}

// typedMax is the longest line that is read, bytes. It is more than a message may have.
const typedMax = 64 << 10

// read returns the lines of in, and then why they end, nil if in does. It ends with in, or
// the process.
func read(in io.Reader) (<-chan string, <-chan error) {
	typed, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(typed)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, typedMax+len("\n"))
		for scanner.Scan() {
			typed <- strings.TrimSpace(scanner.Text())
		}
		err := scanner.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line of more than %d bytes", typedMax)
		}
		if err != nil {
			err = fmt.Errorf("standard input: %w", err)
		}
		failed <- err
	}()
	return typed, failed
}

// printer returns a function that writes a line, for any goroutine. What others have
// written may not move the cursor, or ring the bell.
func printer(out io.Writer) func(string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, strings.Map(printable, text))
	}
}

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '\uFFFD'
}
