package weirserver

import (
	"log"
	"sync/atomic"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// policyQueue is what a group holds for a member that does not read, in bytes: so little
// that the policy acts in every measurement with a stopped subscriber.
const policyQueue = 64 << 10

// policyKeys is how many values the messages to a group that conflates are about.
const policyKeys = 16

// slowMembers sets a policy for members that do not keep up.
func slowMembers(slow session.SlowPolicy) engine.Option {
	return engine.WithGroups(func(string) session.GroupConfig {
		return session.GroupConfig{Slow: slow, QueueBytes: policyQueue}
	})
}

func aboutValues(g *session.Group) session.Handler { return &valueHub{hub: hub{g}} }

// valueHub names the value that each message is about.
type valueHub struct {
	hub
	next atomic.Uint64
}

// OnMessage sends to all.
func (h *valueHub) OnMessage(s *session.Session, f session.Frame) {
	key := string(rune('a' + h.next.Add(1)%policyKeys))
	if err := h.all.Publish(session.Notice{Bytes: f.Bytes(), Key: key}); err != nil {
		log.Print("weir: ", err)
		_ = s.Abort() // so that the load reports it
	}
}
