//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Rows 5 and 21: much data, and every byte of it.

// streamPatience bounds a whole stream.
const streamPatience = 15 * time.Second

// letters returns n random letters, none of which begins a command.
func letters(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(random.UintN(26))
	}
	return text
}

// duplex is a connection either side of which may end first.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// stream sends text in pieces of all sizes and reads what comes back, until all has
// come or, if half is true, until FIN after its own.
func stream(c duplex, text []byte, half bool) error {
	wrote := make(chan error, 1)
	go func() { wrote <- writePieces(c, text, half) }()
	got, err := readBack(c, text, half)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", got, len(text), err)
	}
	return <-wrote
}

func writePieces(c duplex, text []byte, half bool) error {
	random := rand.New(rand.NewPCG(uint64(len(text)), 2))
	for len(text) > 0 {
		n := min(1+random.IntN(64<<10), len(text))
		if _, err := c.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	if half {
		return c.CloseWrite()
	}
	return nil
}

var errOther = errors.New("other bytes than were sent")

func readBack(c net.Conn, text []byte, half bool) (got int, err error) {
	buffer := make([]byte, 32<<10)
	for got < len(text) || half {
		n, err := c.Read(buffer)
		if n > len(text)-got || !bytes.Equal(buffer[:n], text[got:got+n]) {
			return got, errOther
		}
		got += n
		switch {
		case err == io.EOF && half && got == len(text):
			return got, nil
		case err != nil:
			return got, err
		}
	}
	return got, nil
}

// dialTiny connects with small buffers at our end.
func dialTiny(address string, bytes int) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialPatience, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		failed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
		})
		return errors.Join(failed, err)
	}}
	c, err := d.DialContext(context.Background(), "tcp4", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(streamPatience))
}

// inParallel runs n clients and returns how many succeeded, and one of the errors.
func inParallel(n int, client func(i int) error) (succeeded int, failure error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			err := client(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				succeeded++
			} else {
				failure = err
			}
		})
	}
	all.Wait()
	return succeeded, failure
}

// tiny is a buffer that most writes do not fit in, in bytes.
const tiny = 4 << 10

// tinyWrites has clients with small buffers on both sides each do what client does.
func (s *scene) tinyWrites(amount int, what string, client func(c *net.TCPConn, i int) error) {
	s.wholeStreams(amount, what, func(i int) error {
		c, err := dialTiny(s.hello.Address, tiny)
		if err != nil {
			return err
		}
		defer reset(c)
		if err := command(c, fmt.Sprint("sndbuf ", tiny)); err != nil {
			return err
		}
		return client(c, i)
	})
}

// wholeStreams has clients each get a stream of that many bytes.
func (s *scene) wholeStreams(amount int, what string, client func(i int) error) {
	const clients = 8
	whole, err := inParallel(clients, client)
	s.see("%d of %d %s of %d KiB are whole", whole, clients, what, amount>>10)
	why := strings.ReplaceAll(fmt.Sprint(err), s.dir+"/", "") // no path of this run
	s.require(whole == clients, "%d of %d %s are whole: %s", whole, clients, what, why)
}

func shortWrites(s *scene) {
	amount := pick(s.options, 1<<20, 256<<10)
	s.tinyWrites(amount, "streams", func(c *net.TCPConn, i int) error {
		return stream(c, letters(uint64(i), amount), false)
	})
}

// gathers has handlers send many pieces in one go.
func gathers(s *scene) {
	const pieces = 1000
	amount := pick(s.options, 1<<20, 256<<10)
	want := ownText(amount)
	s.tinyWrites(amount, fmt.Sprint("answers in ", pieces, " pieces"), func(c *net.TCPConn, _ int) error {
		if _, err := fmt.Fprintf(c, "%csegments %d %d", commandMark, amount, pieces); err != nil {
			return err
		}
		_, err := readBack(c, want, false)
		return err
	})
}

// greeting is what the second server's OnOpen sends, in bytes. It is more than any
// send buffer holds.
const greeting = 6 << 20

// greets reads what OnOpen sends, and wants an echo after it.
func greets(s *scene) {
	want := ownText(greeting)
	s.wholeStreams(greeting, "greetings", func(int) error {
		c, err := dialTiny(s.hello.Beside, 64<<10)
		if err != nil {
			return err
		}
		defer reset(c)
		if got, err := readBack(c, want, false); err != nil {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
		return echo(c, "hello")
	})
}

// shortWritesUnix is shortWrites on unix sockets, whose buffers are the sender's alone.
func shortWritesUnix(s *scene) {
	amount := pick(s.options, 4<<20, 1<<20)
	s.wholeStreams(amount, "streams", func(i int) error {
		c, err := net.DialTimeout("unix", s.hello.Beside, dialPatience)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(streamPatience)); err != nil {
			return err
		}
		if err := command(c, fmt.Sprint("sndbuf ", tiny)); err != nil {
			return err
		}
		return stream(c.(*net.UnixConn), letters(uint64(i), amount), false)
	})
}

func halfCloses(s *scene) {
	const clients, amount = 8, 4 << 20
	whole, err := inParallel(clients, func(i int) error {
		c, err := dial(s.hello.Address, streamPatience)
		if err != nil {
			return err
		}
		defer reset(c)
		return stream(c, letters(uint64(i), amount), true)
	})
	s.see("%d of %d streams are whole, with FIN at their end", whole, clients)
	s.require(whole == clients, "%d of %d streams are whole: %v", whole, clients, err)
}
