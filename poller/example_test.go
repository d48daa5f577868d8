//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/poller"
)

// A loop parks until a descriptor is ready, then reads until nothing is left.
func Example() {
	fds := make([]int, 2)
	if err := unix.Pipe(fds); err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		fmt.Println(err)
		return
	}

	p, err := poller.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	const token = 42
	if err := p.Add(fds[0], poller.Read, token); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := unix.Write(fds[1], []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}

	events := make([]poller.Event, 64)
	buf := make([]byte, 512)
	for received := 0; received < len("hello"); {
		n, err := p.Park(events, time.Time{})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range events[:n] {
			if e.Token != token || e.Ready&poller.Readable == 0 {
				continue
			}
			for {
				n, err := unix.Read(fds[0], buf)
				if err != nil || n == 0 {
					break // EAGAIN: wait for the next event
				}
				fmt.Printf("%s\n", buf[:n])
				received += n
			}
		}
	}
	// Output: hello
}

// Any goroutine may end a Park. What it was about is passed by other means.
func ExamplePoller_Wake() {
	p, err := poller.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	mailbox := make(chan string, 1)
	go func() {
		mailbox <- "work to do"
		_ = p.Wake()
	}()

	events := make([]poller.Event, 64)
	for {
		if _, err := p.Park(events, time.Time{}); err != nil {
			fmt.Println(err)
			return
		}
		select {
		case text := <-mailbox:
			fmt.Println(text)
			return
		default: // a Park may return for nothing
		}
	}
	// Output: work to do
}
