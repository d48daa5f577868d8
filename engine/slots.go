package engine

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/weirnet/weir/session"
)

// slots is a loop's table of conns. A conn has a place of its own for life, in
// a chunk that never moves, so that pointers to it stay good and growing makes
// no garbage; closed ones are used again under the next generation.
//
// A number names the session, the conn and the registration with the poller:
//
//	63           24 23     0
//	┌──────────────┬────────┐
//	│  generation  │ place  │   place = slot × loops + loop
//	└──────────────┴────────┘
//
// Generations start at 1 and are not used twice: at a million connections a
// second through one slot they last for twelve days, through all slots for
// longer than the machine. Generation 0 is for the loop's own registrations.
type slots struct {
	loop   *loop
	stride uint32 // loops of the engine

	mu   sync.Mutex
	free *conn  // freed last; linked by next
	used uint32 // slots that have ever been used

	chunks atomic.Pointer[[]*chunk] // replaced when it grows; read by anybody
}

const (
	placeBits  = 24
	placeMask  = 1<<placeBits - 1
	generation = uint64(1) << placeBits // what a generation adds to an id

	chunkBytes = 32 << 10
	perChunk   = chunkBytes / unsafe.Sizeof(conn{})
)

type chunk [perChunk]conn

// take returns a free conn with a new id, or nil when all places are taken. Any
// goroutine may call it.
func (s *slots) take() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.free; c != nil {
		s.free, c.next = c.next, nil
		return c
	}
	slot := s.used
	place := uint64(slot)*uint64(s.stride) + uint64(s.loop.index)
	if place > placeMask {
		return nil
	}
	if int(slot)%int(perChunk) == 0 {
		s.grow()
	}
	s.used++
	c := s.at(slot)
	c.id = place | generation
	c.loop = s.loop
	return c
}

// give frees c and moves its id to the next generation. Nobody may refer to c
// by pointer any more; ids of the old generation find nothing.
func (s *slots) give(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.id += generation
	c.next, s.free = s.free, c
}

func (s *slots) grow() {
	var old []*chunk
	if p := s.chunks.Load(); p != nil {
		old = *p
	}
	grown := append(old[:len(old):len(old)], new(chunk))
	s.chunks.Store(&grown)
}

// at returns the conn in a slot that has been used.
func (s *slots) at(slot uint32) *conn {
	return &(*s.chunks.Load())[uintptr(slot)/perChunk][uintptr(slot)%perChunk]
}

// session finds the session with this id, from any goroutine.
func (s *slots) session(id uint64) *session.Session {
	slot := uint32(id&placeMask) / s.stride
	chunks := s.chunks.Load()
	if chunks == nil || uintptr(slot)/perChunk >= uintptr(len(*chunks)) {
		return nil
	}
	found := s.at(slot).session.Load()
	if found == nil || found.ID() != id {
		return nil
	}
	return found
}

// each calls yield with every session that is there, from any goroutine, until
// it returns false; each then does, too.
func (s *slots) each(yield func(*session.Session) bool) bool {
	chunks := s.chunks.Load()
	if chunks == nil {
		return true
	}
	for _, chunk := range *chunks {
		for i := range chunk {
			if found := chunk[i].session.Load(); found != nil && !yield(found) {
				return false
			}
		}
	}
	return true
}

// count returns how many slots have ever been used.
func (s *slots) count() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
