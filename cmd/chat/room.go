package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// A room is what its members have said, and a group of those who hear it. Two groups, to
// be exact, since slow readers are treated differently:
//
//   - said: what is said. Whoever does not keep up is closed, comes back, and gets what
//     is missing from what the room remembers.
//   - presence: who comes and goes. Whoever does not keep up gets the last word on each
//     name only.
//
// The lock keeps together what belongs together: a message is numbered, remembered and
// published, or somebody is given what is remembered and joins, and nothing comes
// between. Publishing does not wait for readers, so the lock is never held for long.
//
// What is remembered is the truth. If it cannot be published, because the engine's loops
// are far behind, everybody is treated as a slow reader of said.
type room struct {
	name     string
	said     *session.Group
	presence *session.Group
	keep     int    // messages that are remembered
	life     string // within which seq rises; see wire.go

	mu      sync.Mutex
	journal *journal
	last    int     // seq of the last message
	history []event // the last keep ones
	members map[string]*member
}

// member is somebody who is in the room, or was and has said something of the history.
type member struct {
	session *session.Session // nil when not there
	key     string           // of the client
	n       int              // its last message
}

// The groups' names tell which policy they have; see server.go.
const (
	saidPrefix     = "said/"
	presencePrefix = "presence/"
)

func openRoom(e *engine.Engine, st store, name string) (*room, error) {
	p, journal, err := st.open(name)
	if err != nil {
		return nil, err
	}
	r := &room{
		name: name, keep: st.keep, life: p.life, journal: journal, history: p.said,
		said: e.Group(saidPrefix + name), presence: e.Group(presencePrefix + name),
		members: map[string]*member{},
	}
	for _, m := range r.history {
		r.last = m.Seq
		r.members[m.From] = &member{key: m.Key, n: m.N}
	}
	return r, nil
}

// enter gives s what was said after seen, and has it hear what is said from now on. It
// reports false if the name is somebody else's. A client that comes back before its
// old connection was noticed to be dead takes its place.
func (r *room) enter(s *session.Session, q request) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[q.Name]
	switch {
	case m == nil || m.session == nil && m.key != q.Key:
		m = &member{key: q.Key}
		r.members[q.Name] = m
	case m.key != q.Key:
		return false
	case m.session != nil:
		_ = m.session.Abort() // ErrClosed: it is closing, too
	}
	arrived := m.session == nil
	m.session = s
	err := r.said.JoinAfter(s, func() error {
		r.recall(s, q)
		names, more := r.names()
		send(s, event{Is: "joined", Room: r.name, Life: r.life, Names: names, More: more})
		return nil
	})
	if err == nil {
		err = r.presence.Join(s)
	}
	if err == nil && arrived {
		r.announce("came", q.Name, s)
	}
	return true // whatever the error is, it is closing, and leave will be called
}

// recall sends what was said after what the client has seen, and how much of that is
// forgotten. What it has seen in another life of the room does not count.
func (r *room) recall(s *session.Session, q request) {
	seen, back := q.Seen, q.Seen > 0 || q.Life != ""
	if seen > r.last || q.Life != "" && q.Life != r.life {
		seen = 0
		send(s, event{Is: "anew", Life: r.life})
	}
	oldest := r.last - len(r.history) + 1
	if lost := oldest - seen - 1; back && lost > 0 {
		send(s, event{Is: "gap", Lost: lost})
	}
	for _, m := range r.history[max(0, seen+1-oldest):] {
		send(s, m)
	}
}

// leave is called when s, which had entered with that name, has closed.
func (r *room) leave(s *session.Session, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m == nil || m.session != s {
		return // somebody has its place
	}
	m.session = nil
	r.forget(name)
	r.announce("went", name, nil)
}

// say tells everybody in the room, the speaker too: that is how it knows. A message that
// was taken before is not taken again, and nothing from a session that has lost its
// place: its client has not heard it, and says it again.
func (r *room) say(s *session.Session, name string, q request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m == nil || m.session != s || q.N <= m.n {
		return nil
	}
	e := event{Is: "said", Seq: r.last + 1, From: name, Key: m.key, N: q.N, Text: q.Text}
	if err := r.journal.add(e); err != nil {
		return err
	}
	m.n, r.last = q.N, e.Seq
	r.history = append(r.history, e)
	if old := len(r.history) - r.keep; old > 0 {
		from := r.history[0].From
		r.history = slices.Delete(r.history, 0, old)
		r.forget(from)
	}
	if err := r.said.Send(line(e)); err != nil {
		// ErrBufferFull. Who got the next message, and not this one, would not notice the gap.
		// Those who are closed get nothing any more, and come back for it; so does the speaker,
		// to whom an error would be wrong: what it says has been taken.
		r.said.Kick(fmt.Errorf("%w: %w", session.ReasonSlowConsumer, err))
	}
	return nil
}

// who returns the names of those who are there, and how many more there are.
func (r *room) who() (names []string, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names()
}

func (r *room) names() (names []string, more int) {
	for _, name := range slices.Sorted(maps.Keys(r.members)) {
		switch {
		case r.members[name].session == nil:
		case len(names) == namesMax:
			more++
		default:
			names = append(names, name)
		}
	}
	return names, more
}

// forget forgets who is not there, and has said nothing that is remembered: so there are
// no more members than sessions and messages.
func (r *room) forget(name string) {
	m := r.members[name]
	if m == nil || m.session != nil || slices.ContainsFunc(r.history, func(e event) bool { return e.From == name }) {
		return
	}
	delete(r.members, name)
}

// announce tells the others that somebody came or went. Only the last word on a name
// matters, and not for long.
func (r *room) announce(is, name string, except *session.Session) {
	_ = r.presence.Publish(session.Notice{ // ErrBufferFull: loops are far behind, and who is where will be asked again
		Bytes: line(event{Is: is, Name: name}), Key: name, Except: except,
	})
}
