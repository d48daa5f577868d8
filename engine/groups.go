package engine

import (
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Group returns the group of this name: a set of sessions that are sent the same
// messages. It begins with the first Join and is gone when nobody is left.
func (e *Engine) Group(name string) *session.Group { return e.groups.Group(name) }

// Groups calls yield with the groups that have members, in the order of their names,
// until it returns false. It is an iter.Seq.
func (e *Engine) Groups(yield func(*session.Group) bool) { e.groups.Each(yield) }

// User returns the sessions of one user, as a group: whoever knows which user a session
// belongs to has it Join, and it leaves when it closes. A user may have several. Keys
// are apart from the names of groups, and stay in this engine.
func (e *Engine) User(key string) *session.Group { return e.users.Group(key) }

// Users calls yield with the users that have sessions, in the order of their keys,
// until it returns false. It is an iter.Seq.
func (e *Engine) Users(yield func(*session.Group) bool) { e.users.Each(yield) }

// WithGroups tells how groups, and users, treat members that do not keep up. Configure
// is called with the name when a group begins, on any goroutine, and must not call
// groups; the default is the zero session.GroupConfig for all. With one that cannot be,
// Join returns session.ErrGroupConfig.
func WithGroups(configure func(name string) session.GroupConfig) Option {
	return func(o *options) {
		if configure == nil {
			o.reject("groups", "nil", "must not be nil")
		}
		o.groups = configure
	}
}

// WithBackplane has groups reach the members on other engines, through b. The default
// is none.
func WithBackplane(b session.Backplane) Option {
	return func(o *options) {
		if b == nil {
			o.reject("backplane", "nil", "must not be nil")
		}
		o.backplane = b
	}
}

// makeGroups makes the registries. Loops come later.
func (e *Engine) makeGroups() {
	configure := e.options.groups
	if configure == nil {
		configure = func(string) session.GroupConfig { return session.GroupConfig{} }
	}
	now := func() int64 { return e.deps.Clock.Now().UnixNano() }
	e.shared.Loops = e.options.loops
	e.shared.LoopOf = func(id uint64) int { return int(id & placeMask % uint64(e.options.loops)) }
	e.shared.Leave = func(loop int, x *transport.Errand) { e.loops[loop].mail.leave(x) }
	e.shared.OnLoop = e.onLoop
	e.shared.Cork.Holding = e.overseer.rouse
	e.groups = session.NewGroups(&e.shared, now, true, configure, transport.Key{})
	e.users = session.NewGroups(&e.shared, now, false, configure, transport.Key{})
}

// connectGroups joins the groups to those of other engines.
func (e *Engine) connectGroups() error {
	if e.options.backplane == nil {
		return nil
	}
	return e.groups.Connect(e.options.backplane)
}
