package session

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/weirnet/weir/internal/transport"
)

// Groups are an engine's groups, by name. An engine makes it; users reach it through
// the engine's methods.
type Groups struct {
	shared    *transport.Shared
	now       func() int64
	configure func(name string) GroupConfig
	listed    bool // Session.Groups names them
	counts    counts
	seed      maphash.Seed
	shards    [groupShards]groupShard

	backplane Backplane
	cancel    func()
}

const groupShards = 16

type groupShard struct {
	mu    sync.Mutex
	rooms map[string]*room
}

// GroupConfig is how a group treats members that do not keep up.
type GroupConfig struct {
	// Slow is what happens when a member is behind by more than QueueBytes: the bytes
	// of the messages that wait for it, 32 for each on average at least, and 64 for each
	// piece of memory that they lie in. Up to twice as much memory is held, four times
	// where messages have a Key or TTL, and some 100 KiB. 0 is the cap of a session's output (engine.WithOutbound).
	Slow       SlowPolicy
	QueueBytes int

	// OnLag, if not nil, is called when a member falls behind, and when it has caught
	// up, where the session's handlers run. What changes too fast to tell is left out.
	OnLag func(g *Group, s *Session, behind bool)
}

// check tells what no group can be configured with.
func (c GroupConfig) check() error {
	switch {
	case c.Slow > Conflate:
		return fmt.Errorf("policy Slow is %d, must be one of those there are", c.Slow)
	case c.QueueBytes < 0:
		return fmt.Errorf("QueueBytes is %d, must not be negative", c.QueueBytes)
	}
	return nil
}

// Backplane takes a group's messages to other engines, and brings theirs. It may
// block the publisher, and must not deliver a message to the engine that published it.
type Backplane interface {
	// Publish is called with each message that was given to the group's members on this
	// engine, on the publisher's goroutine. What it returns, Group.Publish returns. The
	// notice's bytes are valid until it returns; Except is nil for whom it is about.
	Publish(group string, n Notice) error

	// Subscribe is called once, by engine.New. From then on deliver may be called from
	// any goroutine, for messages that other engines published; it never waits. After
	// cancel it must not be called any more.
	Subscribe(deliver func(group string, n Notice) error) (cancel func(), err error)
}

// NewGroups returns groups without any. Only an engine can call it. Configure tells
// how a group of a name is to be; now is the time in Unix nanoseconds.
func NewGroups(shared *transport.Shared, now func() int64, listed bool, configure func(name string) GroupConfig, _ transport.Key) *Groups {
	all := &Groups{shared: shared, now: now, listed: listed, configure: configure, seed: maphash.MakeSeed()}
	for i := range all.shards {
		all.shards[i].rooms = make(map[string]*room)
	}
	return all
}

// Connect has messages go to other engines and come from there, until Disconnect.
func (all *Groups) Connect(b Backplane) (err error) {
	all.cancel, err = b.Subscribe(func(group string, n Notice) error {
		n.Except = nil
		_, err := all.Group(group).give(&n, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("session: backplane: %w", err)
	}
	all.backplane = b
	return nil
}

// Disconnect undoes Connect.
func (all *Groups) Disconnect() {
	if all.cancel != nil {
		all.cancel()
	}
}

// Group returns the group of this name, which need not have members.
func (all *Groups) Group(name string) *Group { return &Group{all: all, name: name} }

// Each calls yield with the groups that have members, in the order of their names.
func (all *Groups) Each(yield func(*Group) bool) {
	var names []string
	for i := range all.shards {
		shard := &all.shards[i]
		shard.mu.Lock()
		for name := range shard.rooms {
			names = append(names, name)
		}
		shard.mu.Unlock()
	}
	slices.Sort(names)
	for _, name := range names {
		if !yield(all.Group(name)) {
			return
		}
	}
}

// Stats are the sums over all groups since the engine began; Members counts those of
// now.
func (all *Groups) Stats() (st GroupStats, groups int) {
	st = all.counts.stats()
	for i := range all.shards {
		shard := &all.shards[i]
		shard.mu.Lock()
		for _, r := range shard.rooms {
			st.Members += int(r.size.Load())
			groups++
		}
		shard.mu.Unlock()
	}
	return st, groups
}

func (all *Groups) shard(name string) *groupShard {
	return &all.shards[maphash.String(all.seed, name)%groupShards]
}

// find returns the room of a name; nil if there is none and none is to be made.
func (all *Groups) find(name string, make bool) *room {
	shard := all.shard(name)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	r := shard.rooms[name]
	if r == nil && make {
		r = newRoom(all, name)
		shard.rooms[name] = r
	}
	return r
}

// forget takes away a room that is gone.
func (all *Groups) forget(r *room) {
	shard := all.shard(r.name)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.rooms[r.name] == r {
		delete(shard.rooms, r.name)
	}
}

// GroupStats are a group's counters at one moment. All but Published count a message
// once for each member; of what was published while it stayed, each member was delivered a message,
// or it is queued, dropped, expired or unsent.
type GroupStats struct {
	Members   int
	Published uint64 // messages
	Delivered uint64 // taken by the kernel, or begun
	Queued    int64  // waiting for members that are behind
	Dropped   uint64 // left out by the policy, or replaced by a later one
	Expired   uint64 // not sent within their TTL
	Unsent    uint64 // waiting, or just published, when the member left or its session ended
	Closed    uint64 // times a session was closed by policy CloseSlow
}

func (c *counts) stats() GroupStats {
	return GroupStats{
		Published: c.published.Load(), Delivered: c.delivered.Load(), Queued: c.queued.Load(),
		Dropped: c.dropped.Load(), Expired: c.expired.Load(), Unsent: c.unsent.Load(), Closed: c.closed.Load(),
	}
}

// Errors of the methods of Group.
var (
	// ErrNotMember: the session is not in the group.
	ErrNotMember = errors.New("session: not a member of the group")

	// ErrBehind is the cause of a close for ReasonSlowConsumer by a group's policy.
	ErrBehind = errors.New("session: too far behind a group")
)

// Notice is a message to a group. The bytes are copied, once for all members.
type Notice struct {
	Bytes []byte

	// Key names the value that the message replaces, where policy Conflate applies.
	Key string

	// TTL is how long the message is worth sending; 0 is for ever. Later it is left
	// out for members that have not been given it.
	TTL time.Duration

	// Except does not get it, if it is a member. May be nil.
	Except *Session
}
