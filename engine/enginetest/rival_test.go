package enginetest

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/weirnet/weir/session"
)

// rival publishes to a group while a snapshot for somebody who joins is taken: on a
// goroutine of its own, which must wait until that is over.
type rival struct {
	hall  *hall
	bytes []byte
	done  chan error
	over  atomic.Bool
}

// rivalYields is how often the snapshot lets a rival run that does not wait as it should.
const rivalYields = 50

// compete has a rival publish, and looks whether it gets anywhere. Within a snapshot.
func (h *hall) compete(t *track) *rival {
	body := append(header(h.number, len(h.posts)), numbers[:t.upTo(100)]...)
	r := &rival{hall: h, bytes: body, done: make(chan error, 1)}
	p := slices.Clone(body)
	go func() {
		err := h.group.Publish(session.Notice{Bytes: p})
		r.over.Store(true)
		r.done <- err
	}()
	for range rivalYields {
		runtime.Gosched()
	}
	if r.over.Load() {
		h.crowd.sim.failf("%s: a message is published while a snapshot for %s is taken", h, t)
	}
	return r
}

// finish waits for the rival. What it published comes behind the stay that began.
func (r *rival) finish() {
	h := r.hall
	err := <-r.done
	h.crowd.sim.note("%s: a rival's message of %d bytes: %v", h, len(r.bytes), err)
	switch {
	case err == nil:
		p := &post{}
		p.put(h, r.bytes)
		p.count(h.crowd)
	case !errors.Is(err, session.ErrBufferFull):
		h.crowd.sim.failf("%s: a rival publishes: %v", h, err)
	}
}
