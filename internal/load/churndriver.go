package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// churnDriver has connections come and go, from one goroutine. Each of its places holds
// one life after the other.
type churnDriver struct {
	*wire
	clock
	config  ChurnConfig
	target  netip.AddrPort
	dialer  dialer
	pattern pattern
	lives   []life
	begun   int64 // lives, in all

	// What has been seen.
	over     int64 // lives, in all
	measured int64
	verified int64
	answers  histogram
	whole    histogram
	trouble
}

// life is one connection, in a place that others had before. Its token is the place and,
// above placeBits, the number of the life, so that no event reaches a later one.
type life struct {
	end
	place   int
	stage   stage
	beganAt int64
	answer  time.Duration // what it took until all of the message was back
	message []byte
	sent    int
	got     int
}

const placeBits = 16

// stage is what a life waits for.
type stage uint8

const (
	connecting stage = iota
	answering        // for its message to come back
	parting          // for the server's FIN
	gone
)

func newChurnDriver(c ChurnConfig, progress func(Progress)) (*churnDriver, error) {
	target, err := netip.ParseAddrPort(c.Address)
	if err != nil {
		return nil, err
	}
	dialer, err := newDialer(c.Address)
	if err != nil {
		return nil, err
	}
	w, err := openWire(c.AtOnce)
	if err != nil {
		return nil, err
	}
	d := &churnDriver{
		wire: w, config: c, target: target, dialer: dialer, pattern: newPattern(),
		lives: make([]life, c.AtOnce), answers: newHistogram(), whole: newHistogram(),
	}
	d.clock = newClock(c.config(), progress)
	for i := range d.lives {
		d.lives[i] = life{end: end{fd: -1}, place: i, stage: gone}
	}
	return d, nil
}

func (d *churnDriver) close() {
	for i := range d.lives {
		d.hangUp(&d.lives[i].end, true)
	}
	d.wire.close()
}

// run goes through the phases. The first life that fails ends it.
func (d *churnDriver) run(ctx context.Context) error {
	stop := d.cancelOn(ctx)
	defer stop()

	d.enter(WarmingUp, d.now(), 0)
	for i := range d.lives {
		d.begin(&d.lives[i])
	}
	for d.errorsAll == 0 && !d.done() {
		if d.cancelled.Load() {
			d.leave(d.now())
			return ctx.Err()
		}
		events, err := d.wait(d.wakeAt)
		if err != nil {
			return err
		}
		for _, e := range events {
			l := &d.lives[e.Token&(1<<placeBits-1)]
			if l.fd >= 0 && l.token == e.Token {
				d.live(l, e.Ready)
			}
		}
		now := d.now()
		d.tick(now, d.over)
		d.yield(now)
	}
	d.leave(d.now())
	for i := range d.lives {
		if l := &d.lives[i]; l.stage != gone && d.errorsAll == 0 {
			d.note(fmt.Sprintf("a connection had not ended within %v of the end", d.config.Patience))
		}
	}
	return nil
}

// done says whether nothing more can come.
func (d *churnDriver) done() bool {
	if d.phase != Finishing || d.now() >= d.phaseEnd {
		return d.phase == Finishing
	}
	for i := range d.lives {
		if d.lives[i].stage != gone {
			return false
		}
	}
	return true
}

// begin starts a life in a place that is free.
func (d *churnDriver) begin(l *life) {
	i := int(d.begun % patternLength)
	d.begun++
	*l = life{
		end:     end{fd: -1, token: poller.Token(d.begun<<placeBits | int64(l.place))},
		place:   l.place,
		beganAt: d.now(),
		message: d.pattern.window(startOf(i), d.config.MessageSize),
	}
	var err error
	if l.fd, err = beginConnect(d.target, d.dialer.sourceIP(i)); err == nil {
		l.interest = poller.Read | poller.Write
		err = d.poller.Add(l.fd, l.interest, l.token)
	}
	if err != nil {
		d.fail(l, err)
	}
}

// live goes on with a life as far as it gets.
func (d *churnDriver) live(l *life, ready poller.Ready) {
	if l.stage == connecting {
		if ready&(poller.Writable|poller.Failed|poller.HangUp) == 0 {
			return
		}
		errno, err := d.sockets.Option(l.fd, sock.SocketError)
		if err == nil && errno != 0 {
			err = fmt.Errorf("connect: %w", syscall.Errno(errno))
		}
		if err != nil {
			d.fail(l, err)
			return
		}
		l.stage = answering
	}
	for l.sent < len(l.message) {
		n, err := d.send(&l.end, l.message[l.sent:])
		if err != nil {
			d.fail(l, err)
			return
		}
		if n == 0 {
			break
		}
		l.sent += n
	}
	if ready&^poller.Writable != 0 {
		d.hear(l)
	}
}

// hear reads what there is.
func (d *churnDriver) hear(l *life) {
	for l.stage == answering || l.stage == parting {
		got, err := d.receive(&l.end)
		switch {
		case err == io.EOF && l.stage == parting:
			d.finish(l)
			return
		case err == io.EOF:
			d.fail(l, fmt.Errorf("closed by the server after %d of %d bytes", l.got, len(l.message)))
			return
		case err != nil:
			d.fail(l, err)
			return
		case len(got) == 0:
			return
		}
		d.compare(l, got)
	}
}

// compare takes what came back.
func (d *churnDriver) compare(l *life, got []byte) {
	if len(got) > l.sent-l.got || !bytes.Equal(got, l.message[l.got:l.got+len(got)]) {
		d.fail(l, errors.New("other bytes came back than were sent"))
		return
	}
	l.got += len(got)
	d.verified += int64(len(got))
	if l.got < len(l.message) {
		return
	}
	l.answer = time.Duration(d.now() - l.beganAt)
	if d.config.Reset {
		d.finish(l)
		return
	}
	l.stage = parting
	if errno := d.sockets.ShutdownWrite(l.fd); errno != 0 {
		d.fail(l, fmt.Errorf("shutdown: %w", errno))
	}
}

// finish counts a life that is over, and begins the next in its place.
func (d *churnDriver) finish(l *life) {
	d.over++
	if d.phase == Measuring {
		d.measured++
		d.answers.record(l.answer, 1)
		d.whole.record(time.Duration(d.now()-l.beganAt), 1)
	}
	d.hangUp(&l.end, d.config.Reset)
	l.stage = gone
	if d.phase != Finishing {
		d.begin(l)
	}
}

func (d *churnDriver) fail(l *life, err error) {
	d.note(fmt.Sprintf("connection number %d: %v", l.token>>placeBits, err))
	d.hangUp(&l.end, true)
	l.stage = gone
}

func (d *churnDriver) result() ChurnResult {
	r := ChurnResult{
		Lives:      d.measured,
		Duration:   time.Duration(d.took),
		Answer:     d.answers.latency(),
		Life:       d.whole.latency(),
		All:        d.over,
		Verified:   d.verified,
		Errors:     d.errors,
		ErrorCount: d.errorsAll,
	}
	if d.took > 0 {
		r.LivesPerSecond = float64(r.Lives) / r.Duration.Seconds()
	}
	return r
}
