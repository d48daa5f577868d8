package session_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// A message of the test: sender, number, length, and as many bytes of a pattern
// that follows from sender and number.
const headerBytes = 8

func numbered(sender, number, size int) []byte {
	m := make([]byte, headerBytes+size)
	binary.BigEndian.PutUint16(m, uint16(sender))
	binary.BigEndian.PutUint16(m[2:], uint16(number))
	binary.BigEndian.PutUint32(m[4:], uint32(size))
	for i := range size {
		m[headerBytes+i] = byte(sender + number + i)
	}
	return m
}

// checkNumbered takes the stream apart: every message intact, those of each
// sender in order.
func checkNumbered(stream []byte, senders, each int) error {
	next := make([]int, senders)
	for at := 0; at < len(stream); {
		if len(stream)-at < headerBytes {
			return fmt.Errorf("%d bytes left over", len(stream)-at)
		}
		sender := int(binary.BigEndian.Uint16(stream[at:]))
		number := int(binary.BigEndian.Uint16(stream[at+2:]))
		size := int(binary.BigEndian.Uint32(stream[at+4:]))
		if sender >= senders || number != next[sender] || at+headerBytes+size > len(stream) {
			return fmt.Errorf("at %d: message %d of sender %d with %d bytes", at, number, sender, size)
		}
		next[sender]++
		for i := range size {
			if stream[at+headerBytes+i] != byte(sender+number+i) {
				return fmt.Errorf("message %d of sender %d is damaged at %d", number, sender, i)
			}
		}
		at += headerBytes + size
	}
	for sender, n := range next {
		if n != each {
			return fmt.Errorf("%d messages of sender %d, want %d", n, sender, each)
		}
	}
	return nil
}

// patientLoop does what a loop does when the session asks for attention, on a
// goroutine of its own. It ends, with the test's session drained, by stop.
func patientLoop(r *rig, wake <-chan struct{}, stop <-chan struct{}) {
	for {
		select {
		case <-wake:
		case <-stop:
			return
		}
		for st := r.driver.Status(); st&(transport.Blocked|transport.Pending) != 0; {
			st = r.driver.Writable()
		}
	}
}

// wakingLink tells a channel of each Attend, and takes a random part of each
// write, or nothing.
type wakingLink struct {
	*fakeLink
	wake chan struct{}

	mu     sync.Mutex
	random *rand.Rand
}

func (l *wakingLink) Attend() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (l *wakingLink) Send(p []byte) (int, syscall.Errno) { return l.Sendv([][]byte{p}) }

func (l *wakingLink) Sendv(views [][]byte) (int, syscall.Errno) {
	l.mu.Lock()
	choice, part := l.random.IntN(4), l.random.IntN(3000)
	l.mu.Unlock()
	if choice == 0 {
		return 0, syscall.EAGAIN
	}
	runtime.Gosched() // in the kernel, others run
	n := 0
	l.fakeLink.mu.Lock()
	defer l.fakeLink.mu.Unlock()
	for _, v := range views {
		v = v[:min(len(v), part+1-n)]
		l.took = append(l.took, v...)
		n += len(v)
	}
	return n, 0
}

func TestManySendersAtOnce(t *testing.T) {
	senders, each := 64, 60
	if testing.Short() {
		each = 20
	}
	r := newRig(t, &parts{}, func(s *transport.Shared) { s.Cap = 256 << 10 })
	link := &wakingLink{fakeLink: r.link, wake: make(chan struct{}, 1), random: rand.New(rand.NewPCG(1, 2))}
	r.session = session.New(7, link, testPeer, r.session.Stats().Opened, session.NewBehaviour(&parts{}))
	r.driver = session.Drive(r.session, transport.Key{})
	r.driver.Open()

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		patientLoop(r, link.wake, stop)
		close(stopped)
	}()
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(sender)))
			for number := range each {
				m := numbered(sender, number, random.IntN(2000))
				for {
					err := error(nil)
					if number%3 == 0 {
						err = r.session.SendOwned(m, nil)
					} else {
						err = r.session.Send(m)
					}
					if err == nil {
						break
					}
					if !errors.Is(err, session.ErrBufferFull) {
						t.Errorf("sender %d: %v", sender, err)
						return
					}
					runtime.Gosched()
				}
				if number%3 != 0 {
					clear(m) // it was copied
				}
				if number%50 == 7 {
					_ = r.session.Flush()
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-stopped
	for st := r.driver.Status(); st&(transport.Blocked|transport.Pending) != 0; {
		st = r.driver.Writable()
	}
	if st := r.driver.Status(); st != 0 {
		t.Errorf("status %08b after everything was written", st)
	}
	if err := checkNumbered([]byte(r.link.taken()), senders, each); err != nil {
		t.Error(err)
	}
}

// Senders, closers and the loop at once: nothing may be lost or counted twice.
func TestCloseAmongSenders(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		r := newRig(t, &parts{})
		link := &wakingLink{fakeLink: r.link, wake: make(chan struct{}, 1), random: rand.New(rand.NewPCG(uint64(round), 1))}
		r.session = session.New(7, link, testPeer, r.session.Stats().Opened, session.NewBehaviour(&parts{}))
		r.driver = session.Drive(r.session, transport.Key{})
		r.driver.Open()
		var accepted, released int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					_ = r.session.Send(make([]byte, 50))
					if r.session.SendOwned(make([]byte, 100), func() { mu.Lock(); released++; mu.Unlock() }) == nil {
						mu.Lock()
						accepted++
						mu.Unlock()
					}
				}
			})
		}
		wg.Go(func() {
			switch round % 3 {
			case 0:
				_ = r.session.Abort()
			case 1:
				_ = r.session.Close()
			case 2:
				_ = r.session.CloseWrite()
			}
		})
		wg.Go(func() { r.driver.Writable(); r.close() })
		wg.Wait()
		if accepted != released {
			t.Fatalf("round %d: %d messages accepted, %d released", round, accepted, released)
		}
	}
}
