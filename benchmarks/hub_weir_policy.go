package main

import (
	"log"
	"sync/atomic"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// policyQueue is what a group of policyHubs holds for a member that does not read, in
// bytes: so little that the policy acts in every measurement of -stuck.
const policyQueue = 64 << 10

// policyKeys is how many values the messages to a group that conflates are about.
const policyKeys = 16

// policyHubs are weir with each policy for slow members, for -stuck.
func policyHubs() []hub {
	return []hub{
		{"weir-drop-oldest", "as weir; who is behind by 64 KiB loses the oldest messages", startPolicyHub(session.DropOldest)},
		{"weir-drop-newest", "as weir; who is behind by 64 KiB loses the newest messages", startPolicyHub(session.DropNewest)},
		{"weir-conflate", "as weir, messages about 16 values in turn; who is behind gets the last of each", startPolicyHub(session.Conflate)},
		{"weir-close", "as weir; who is behind by 64 KiB is closed", startPolicyHub(session.CloseSlow)},
	}
}

func startPolicyHub(slow session.SlowPolicy) func(size int) (string, error) {
	return func(size int) (string, error) {
		codec, err := frame.NewFixed(size)
		if err != nil {
			return "", err
		}
		e, err := engine.New(engine.WithGroups(func(string) session.GroupConfig {
			return session.GroupConfig{Slow: slow, QueueBytes: policyQueue}
		}))
		if err != nil {
			return "", err
		}
		h := policyHub{weirHub: weirHub{e.Group("all")}, keyed: slow == session.Conflate}
		l, err := e.Listen("tcp4", "127.0.0.1:0", session.Framed(&h, codec))
		if err != nil {
			return "", err
		}
		return l.Addr().String(), nil
	}
}

// policyHub names the value that each message is about if its group conflates.
type policyHub struct {
	weirHub
	keyed bool
	next  atomic.Uint64
}

func (h *policyHub) OnMessage(s *session.Session, f session.Frame) {
	n := session.Notice{Bytes: f.Bytes()}
	if h.keyed {
		n.Key = string(rune('a' + h.next.Add(1)%policyKeys))
	}
	if err := h.all.Publish(n); err != nil {
		log.Print("weir: ", err)
		_ = s.Abort()
	}
}
