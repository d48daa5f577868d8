package load

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/weirnet/weir/poller"
)

// An open connection is not yet one that the hub has accepted and would send to.
// So the first publisher greets, again and again, until one greeting has reached
// all. Since each connection has its messages in order, nothing is on the way then.
// A greeting is a message of this byte and, in all other bytes, its number.
const fanGreeting = 0xff

const (
	greetingsMax = 120
	greetEvery   = 250 * time.Millisecond
)

// meet greets until all connections have the same greeting.
func (d *fanDriver) meet(ctx context.Context) error {
	conns := make([]greeted, len(d.conns))
	for number := byte(1); number <= greetingsMax; number++ {
		greeting := bytes.Repeat([]byte{number}, int(d.size))
		greeting[0] = fanGreeting
		if n, errno := d.sockets.Send(d.conns[0].fd, greeting); errno != 0 || n < len(greeting) {
			return fmt.Errorf("load: greeting: %d bytes sent, errno %d", n, errno)
		}
		lacking := len(conns)
		for again := time.Now().Add(greetEvery); lacking > 0 && time.Now().Before(again); {
			if err := ctx.Err(); err != nil {
				return err
			}
			events, err := d.wait(int64(again.Sub(d.began)))
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Token == alarmToken {
					continue
				}
				c := &conns[e.Token]
				before := c.number
				if err := d.hear(&d.conns[e.Token], c, e.Ready&poller.MustDrain != 0); err != nil {
					return err
				}
				if c.number == number && before != number {
					lacking--
				}
			}
		}
		if lacking == 0 {
			return nil
		}
	}
	return fmt.Errorf("load: the hub has not sent a message to all connections within %v", greetingsMax*greetEvery)
}

// greeted is what a connection has got of greetings.
type greeted struct {
	number  byte // of the last whole one
	partial int  // bytes of the next
}

// hear reads what has arrived at one connection.
func (d *fanDriver) hear(c *fanConn, g *greeted, drain bool) error {
	for {
		got, err := d.receive(&c.end)
		switch {
		case err != nil:
			return fmt.Errorf("load: %s: closed by the hub: %w", d.name(c), err)
		case len(got) == 0:
			return nil
		}
		all := g.partial + len(got)
		g.partial = all % int(d.size)
		if all >= int(d.size) {
			g.number = got[len(got)-g.partial-1]
		}
		if d.emptied(got, drain) {
			return nil
		}
	}
}
