//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// dialPatience bounds a connect, and an echo where none is to be slow.
const dialPatience = 2 * time.Second

// dial connects, and gives the connection that long to do its business.
func dial(address string, patience time.Duration) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp4", address, dialPatience)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// reset closes with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // it fails if the connection is gone
	c.Close()
}

// echo sends text and wants it back.
func echo(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	return expect(c, text)
}

// command sends one and waits for the answer.
func command(c net.Conn, text string) error {
	if _, err := fmt.Fprintf(c, "%c%s", commandMark, text); err != nil {
		return err
	}
	return expect(c, done)
}

func expect(c net.Conn, text string) error {
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("got %q, want %q", got, text)
	}
	return nil
}

// dialsMax is how often dialEcho tries.
const dialsMax = 20

// dialEcho returns a connection that echoes. Some servers are under a fault from
// the start and refuse now and then, so it tries again.
func dialEcho(address string) (*net.TCPConn, error) {
	var err error
	for range dialsMax {
		var c *net.TCPConn
		if c, err = dial(address, dialPatience); err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err = echo(c, "hello"); err == nil {
			return c, nil
		}
		reset(c)
	}
	return nil, err
}

// echoes tells whether a new connection is served within a time.
func echoes(address string, within time.Duration) error {
	c, err := dial(address, within)
	if err != nil {
		return err
	}
	defer reset(c)
	return echo(c, "are you there?")
}

// ended waits for the connection's end and tells whether it was FIN; what comes
// before is thrown away. Errors other than that of the deadline are an end.
func ended(c net.Conn) (clean bool, err error) {
	_, err = io.Copy(io.Discard, c)
	var failed net.Error
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &failed) && failed.Timeout():
		return false, errors.New("the connection is still open")
	default:
		return false, nil
	}
}
