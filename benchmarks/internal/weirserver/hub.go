package weirserver

import (
	"fmt"
	"log"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Hub starts the hub of that name, for messages of that size, as Echo does: one group
// that everybody joins, all else as it comes.
func Hub(name string, size int) (address string, err error) {
	switch name {
	case "weir":
		return startHub(size, asTheyAre, engine.WithMode(engine.Pool))
	case "weir-inline":
		return startHub(size, asTheyAre, engine.WithMode(engine.Inline))
	case "weir-drop-oldest":
		return startHub(size, asTheyAre, slowMembers(session.DropOldest))
	case "weir-drop-newest":
		return startHub(size, asTheyAre, slowMembers(session.DropNewest))
	case "weir-conflate":
		return startHub(size, aboutValues, slowMembers(session.Conflate))
	case "weir-close":
		return startHub(size, asTheyAre, slowMembers(session.CloseSlow))
	default:
		return "", fmt.Errorf("weir: no hub %q", name)
	}
}

func startHub(size int, handler func(*session.Group) session.Handler, options ...engine.Option) (string, error) {
	codec, err := frame.NewFixed(size)
	if err != nil {
		return "", err
	}
	e, err := engine.New(options...)
	if err != nil {
		return "", err
	}
	l, err := e.Listen("tcp4", "127.0.0.1:0", session.Framed(handler(e.Group("all")), codec))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

func asTheyAre(g *session.Group) session.Handler { return hub{g} }

type hub struct{ all *session.Group }

// OnOpen joins.
func (h hub) OnOpen(s *session.Session) {
	if err := h.all.Join(s); err != nil {
		log.Print("weir: ", err)
	}
}

// OnMessage sends to all.
func (h hub) OnMessage(s *session.Session, f session.Frame) {
	if err := h.all.Send(f.Bytes()); err != nil {
		log.Print("weir: ", err)
		_ = s.Abort() // so that the load reports it
	}
}
