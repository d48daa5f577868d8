package enginetest

import (
	"fmt"
	"time"
)

// ledger follows the messages that a client of the engine has taken: each leaves once, in
// the order of the calls, or it is reported once as unsent.
type ledger struct {
	owner *dialler
	all   []*parcel
	first int // none before it is open
}

// parcel is a message that a client, or a session of its, has been given.
type parcel struct {
	class, number int
	body          int  // bytes
	size          int  // the same, as a frame
	notify        bool // it has a completion

	begun    bool // its first bytes have left
	gone     int  // how many of them, as its session knows
	reported bool // as unsent
	told     bool // its completion was called
	err      error
}

const (
	classParcel = 102 // of a client's Send
	classOwn    = 103 // of its session's Send
	classFar    = 104 // of the server that it has dialled
)

// content is what a message of such a class says.
func content(class, number, n int) []byte {
	at := (class*31 + number*1009) % period
	return append(header(class, number), numbers[at:at+n]...)
}

func newParcel(codec, class, number, n int) *parcel {
	body := content(class, number, n)
	wire, err := framed(codec, body)
	if err != nil {
		panic(err)
	}
	return &parcel{class: class, number: number, body: len(body), size: len(wire)}
}

// wire is the frame that it leaves as.
func (p *parcel) wire(codec int) []byte {
	w, err := framed(codec, content(p.class, p.number, p.body-headerBytes))
	if err != nil {
		panic(err)
	}
	return w
}

func (p *parcel) sent() bool { return p.gone == p.size }

// open are those of which it is not known what has become of them.
func (l *ledger) open() (list []*parcel) {
	for l.first < len(l.all) && !l.all[l.first].open() {
		l.first++
	}
	for _, p := range l.all[l.first:] {
		if p.open() {
			list = append(list, p)
		}
	}
	return list
}

func (p *parcel) open() bool { return !p.sent() && !p.reported }

// add is told of a message that is about to be given to the client.
func (l *ledger) add(n int, notify bool) *parcel {
	p := newParcel(l.owner.codec, classParcel, len(l.all), n)
	p.notify = notify
	l.all = append(l.all, p)
	return p
}

// refused is told that it was not taken after all.
func (l *ledger) refused(p *parcel) {
	if l.all[len(l.all)-1] != p || p.begun || p.told || p.reported {
		l.owner.sim.failf("%s: message %d was refused after others were taken, or it was told or reported", l.owner, p.number)
		return
	}
	l.all = l.all[:len(l.all)-1]
}

// begins is told that a message has begun to leave.
func (l *ledger) begins(number int) *parcel {
	s := l.owner.sim
	if number >= len(l.all) {
		s.failf("%s: message %d leaves, which nobody sent", l.owner, number)
		return nil
	}
	p := l.all[number]
	switch {
	case p.begun:
		s.failf("%s: message %d leaves twice", l.owner, number)
	case p.reported:
		s.failf("%s: message %d leaves, and was reported as unsent", l.owner, number)
	}
	for _, other := range l.open() {
		if !other.begun && other.number < number {
			s.failf("%s: message %d leaves before message %d", l.owner, number, other.number)
		}
	}
	p.begun = true
	return p
}

// tell is the completion of a message.
func (l *ledger) tell(p *parcel, err error) {
	s := l.owner.sim
	s.note("%s: completion of message %d: %v", l.owner, p.number, err)
	switch {
	case p.told:
		s.failf("%s: completion %d runs twice", l.owner, p.number)
	case p.reported:
		s.failf("%s: completion %d runs after OnDisconnect has counted it", l.owner, p.number)
	case err == nil && !p.sent():
		s.failf("%s: completion %d says that %d bytes have left, %d have", l.owner, p.number, p.size, p.gone)
	}
	p.told, p.err = true, err
}

// report marks the first n open messages as reported, all of them if there is nothing to
// come, and returns which these are.
func (l *ledger) report(n int, last bool) []*parcel {
	s, list := l.owner.sim, l.open()
	if n < 0 || n > len(list) || last && n != len(list) {
		s.failf("%s: %d messages are reported as unsent, %d are there", l.owner, n, len(list))
		return nil
	}
	for _, p := range list[:n] {
		p.reported = true
		if p.notify && (!p.told || p.err == nil) {
			s.failf("%s: message %d is reported as unsent before its completion is told", l.owner, p.number)
		}
	}
	for _, p := range list[n:] {
		if p.begun || p.told {
			s.failf("%s: message %d is not reported, and no other session may send it", l.owner, p.number)
		}
	}
	return list[:n]
}

// check is what must hold when the client has ended.
func (l *ledger) check() {
	for _, p := range l.all {
		switch s := l.owner.sim; {
		case p.sent() && p.reported:
			s.failf("%s: message %d is sent, and reported as unsent", l.owner, p.number)
		case !p.sent() && !p.reported && !(p.notify && p.told && p.err != nil):
			s.failf("%s: message %d is not sent, and not reported", l.owner, p.number)
		case p.notify && !p.told:
			s.failf("%s: completion %d has not run", l.owner, p.number)
		}
	}
}

// waits is what waits in the client, as its limit counts it, if there is no session.
func (l *ledger) waits() (n int) {
	for _, p := range l.open() {
		n += p.body + parcelOverhead
	}
	return n
}

// parcelOverhead is what a message counts for besides its bytes; see WithReconnectQueue.
const parcelOverhead = 64

// retry is when a client is to try again, at the earliest and at the latest.
type retry struct {
	since time.Time     // when it learned that there is no session, or before
	exact bool          // it was just then
	drift time.Duration // of the clock, until then
}

// backoff is what a client waits.
type backoff struct{ shortest, longest time.Duration }

func (b backoff) String() string { return fmt.Sprintf("from %v to %v", b.shortest, b.longest) }

// most is the longest that it waits before the n-th attempt in a row.
func (b backoff) most(n int) time.Duration {
	d := b.shortest
	for range n {
		if d = 2 * d; d >= b.longest {
			return b.longest
		}
	}
	return d
}
