package main

import (
	"log"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

func startPooledWeirHub(size int) (string, error) {
	return startWeirHub(size, engine.WithMode(engine.Pool))
}
func startInlineWeirHub(size int) (string, error) {
	return startWeirHub(size, engine.WithMode(engine.Inline))
}

// startWeirHub serves with one group that everybody joins, all else as it comes.
func startWeirHub(size int, options ...engine.Option) (string, error) {
	codec, err := frame.NewFixed(size)
	if err != nil {
		return "", err
	}
	e, err := engine.New(options...)
	if err != nil {
		return "", err
	}
	l, err := e.Listen("tcp4", "127.0.0.1:0", session.Framed(weirHub{e.Group("all")}, codec))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

type weirHub struct{ all *session.Group }

func (h weirHub) OnOpen(s *session.Session) {
	if err := h.all.Join(s); err != nil {
		log.Print("weir: ", err)
	}
}

func (h weirHub) OnMessage(s *session.Session, f session.Frame) {
	if err := h.all.Send(f.Bytes()); err != nil {
		log.Print("weir: ", err)
		_ = s.Abort() // so that the load reports it
	}
}
