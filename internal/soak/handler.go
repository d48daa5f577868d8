//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync/atomic"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// handler serves what wire.go says, and counts on its own what the engine counts, too.
type handler struct {
	engine *engine.Engine
	leak   *leak

	opened, closed, closedAgain atomic.Int64
	handled, answered           atomic.Int64
	late, refused               atomic.Int64
	unsent, unhandled           atomic.Int64
}

// handlerState is what a handler has counted; bytes with those of the frames.
type handlerState struct {
	Opened      int64 `json:"opened"`
	Closed      int64 `json:"closed"`
	ClosedAgain int64 `json:"closed_again"` // ends that were told twice
	Handled     int64 `json:"handled"`      // bytes that it was given
	Answered    int64 `json:"answered"`     // bytes that Send took
	Late        int64 `json:"late"`         // bytes that Send did not take since the session was closing
	Refused     int64 `json:"refused"`      // answers that Send did not take for another reason
	Unsent      int64 `json:"unsent"`       // bytes of which OnClose told that they were not sent
	Unhandled   int64 `json:"unhandled"`    // bytes of which it told that they were not handled
}

func (h *handler) state() handlerState {
	return handlerState{
		Opened: h.opened.Load(), Closed: h.closed.Load(), ClosedAgain: h.closedAgain.Load(),
		Handled: h.handled.Load(), Answered: h.answered.Load(),
		Late: h.late.Load(), Refused: h.refused.Load(),
		Unsent: h.unsent.Load(), Unhandled: h.unhandled.Load(),
	}
}

// life is a session's value: whether its end has been told.
type life struct{ closed atomic.Bool }

func (h *handler) OnOpen(s *session.Session) {
	h.opened.Add(1)
	s.SetValue(new(life))
	h.leak.open(s)
}

func (h *handler) OnMessage(s *session.Session, f session.Frame) {
	p := f.Bytes()
	h.handled.Add(headBytes + int64(len(p)))
	if len(p) == 0 {
		_ = s.CloseWith(session.ReasonProtocolError) // it fails if the session has ended by itself
		return
	}
	switch body := p[1:]; p[0] {
	case verbJoin:
		if err := h.engine.Group(string(body)).Join(s); err != nil {
			h.refuse(s, err)
			return
		}
	case verbPublish:
		name, message, _ := bytes.Cut(body, []byte{0})
		if err := h.engine.Group(string(name)).Send(message); err != nil {
			h.refuse(s, err)
			return
		}
		p = p[:1]
	case verbStats:
		var err error
		if p, err = json.Marshal(h.engine.Group(string(body)).Stats()); err != nil {
			h.refuse(s, err)
			return
		}
	case verbNarrow:
		if err := narrow(s); err != nil {
			h.refuse(s, err)
			return
		}
	case verbPanic:
		panic(string(body))
	}
	if err := s.Send(p); err != nil {
		if errors.Is(err, net.ErrClosed) {
			h.late.Add(headBytes + int64(len(p)))
			return
		}
		h.refuse(s, err)
		return
	}
	h.answered.Add(headBytes + int64(len(p)))
}

// narrow has the kernel keep little of what a session sends.
func narrow(s *session.Session) error {
	t, err := s.TCP()
	if err != nil {
		return err
	}
	return t.SetWriteBuffer(narrowBytes)
}

// refuse ends a session that does not get its answer.
func (h *handler) refuse(s *session.Session, err error) {
	if !errors.Is(err, net.ErrClosed) {
		h.refused.Add(1)
	}
	_ = s.Abort() // it fails if the session has ended by itself
}

func (h *handler) OnClose(s *session.Session, reason error) {
	if s.Value().(*life).closed.Swap(true) {
		h.closedAgain.Add(1)
		return
	}
	h.closed.Add(1)
	var why *session.CloseError
	if errors.As(reason, &why) {
		h.unsent.Add(int64(why.Unsent))
		h.unhandled.Add(int64(why.Unhandled))
	}
}

// groupQueue is by how much a member of a group may be behind, bytes.
const groupQueue = 64 << 10

// groupConfig goes by a group's name: its policy, a slash and anything.
func groupConfig(name string) session.GroupConfig {
	policy, _, _ := strings.Cut(name, "/")
	for _, p := range policies {
		if p.String() == policy {
			return session.GroupConfig{Slow: p, QueueBytes: groupQueue}
		}
	}
	return session.GroupConfig{}
}

// policies are those of groups that have slow members.
var policies = []session.SlowPolicy{session.CloseSlow, session.DropOldest, session.DropNewest}
