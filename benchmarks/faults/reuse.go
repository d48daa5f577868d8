//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
)

// Row 7: a descriptor's next owner.

// reuseDescriptors has connections end while a goroutine of the server's still
// writes to them. Each has a letter of its own; the next owner of its descriptor
// must see no other, and must not end with it.
func reuseDescriptors(s *scene) {
	const clients, amount, taken = 4, 256 << 10, 16 << 10
	rounds := pick(s.options, 500, 100)
	var lost, foreign atomic.Int64
	_, err := inParallel(clients, func(client int) error {
		for i := range rounds {
			letter := byte('a' + (client*rounds+i)%26)
			c, err := dial(s.hello.Address, dialPatience)
			if err != nil {
				return err
			}
			got := make([]byte, taken)
			_, err = fmt.Fprintf(c, "%cflood %c %d", commandMark, letter, amount)
			if err == nil {
				_, err = io.ReadFull(c, got)
			}
			reset(c)
			switch {
			case err != nil:
				lost.Add(1)
			case bytes.Count(got, []byte{letter}) != taken:
				foreign.Add(1)
			}
		}
		return nil
	})
	s.see("of %d connections %d ended before their time, %d saw others' bytes", clients*rounds, lost.Load(), foreign.Load())
	s.require(err == nil, "%v", err)
	s.require(lost.Load() == 0, "%d connections ended before their time", lost.Load())
	s.require(foreign.Load() == 0, "%d connections saw others' bytes", foreign.Load())
}
