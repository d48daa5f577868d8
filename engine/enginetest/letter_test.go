package enginetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// letter is a message of SendContext. When it is taken is known only afterwards; so it is
// marked, and may come between any two others, as long as
//
//   - those that had been sent when it was written come before it,
//   - those that were sent after it was taken come behind it,
//   - letters come in the order in which they were written.
type letter struct {
	body     []byte
	size     int // on the wire
	after    int // bytes of direct that come before it
	before   int // and the first that come behind it; only if it was taken
	begun    bool
	returned bool
	err      error
}

// write has a letter sent, by the goroutine that calls.
func (t *track) write(ctx context.Context, n int) {
	s := t.sim
	number := len(t.letters)
	body := append(header(classLetter, number), numbers[number%1009:][:n]...)
	l := &letter{body: body, after: len(t.out.direct)}
	wire, refused := framed(t.plan.codec, body)
	l.size = len(wire)
	t.letters = append(t.letters, l)
	t.peak += l.size
	t.pieces += 3
	t.pushed = true
	t.largest = max(t.largest, l.size)
	waits := s.hands.current != nil
	p := slices.Clone(body)
	err := t.session.SendContext(ctx, p)
	clear(p)
	s.note("%s: letter %d of %d: %v", t, number, n, err)
	l.returned, l.err, l.before = true, err, len(t.out.direct)
	var bad *frame.Error
	switch {
	case s.failed:
	case err == nil && refused != nil:
		s.failf("%s: letter %d was taken, and is no frame: %v", t, number, refused)
	case err == nil:
		t.lettersTaken++
	case l.begun:
		s.failf("%s: letter %d goes out, and %v was returned", t, number, err)
	case errors.Is(err, session.ErrClosed), errors.Is(err, session.ErrBufferFull) && s.total > 0 && int64(len(body)) > s.total-s.total/4,
		errors.Is(err, session.ErrDeadlock) && !waits, errors.As(err, &bad) && refused != nil, ctx.Err() != nil && err == context.Cause(ctx):
	default:
		s.failf("%s: letter %d: %v", t, number, err)
	}
}

// letterBegins is told that a letter has begun to leave.
func (t *track) letterBegins(number int) []byte {
	s := t.sim
	if number >= len(t.letters) {
		s.failf("%s: letter %d, which nobody wrote", t, number)
		return nil
	}
	l := t.letters[number]
	later := slices.ContainsFunc(t.letters[number+1:], func(other *letter) bool { return other.begun })
	switch {
	case l.begun:
		s.failf("%s: letter %d comes twice", t, number)
	case later:
		s.failf("%s: letter %d comes behind later ones", t, number)
	case l.returned && l.err != nil:
		s.failf("%s: letter %d comes, and %v was returned", t, number, l.err)
	case t.out.at < l.after:
		s.failf("%s: letter %d comes before what was sent before it", t, number)
	}
	l.begun = true
	return l.body
}

// checkLettersBefore looks for letters that should have come before the session's own
// message that begins at a position.
func (t *track) checkLettersBefore(at int) {
	for i, l := range t.letters {
		if !l.begun && l.returned && l.err == nil && l.before <= at {
			t.sim.failf("%s: what was sent after letter %d comes before it", t, i)
		}
	}
}

// patience is a context for what may wait, which ends some time from now, or never.
func (s *simulation) patience(d draws) context.Context {
	if d.chance(0.5) {
		return context.Background()
	}
	return s.impatience(d)
}

// handlerPatience is the same for handlers. It ends where room may be lacking in the engine as
// a whole that a client's waiting messages have: those leave when a handler is called, and who
// waits has perhaps the only worker.
func (s *simulation) handlerPatience(d draws) context.Context {
	if s.total > 0 && s.dialling != nil {
		return s.impatience(d)
	}
	return s.patience(d)
}

func (s *simulation) impatience(d draws) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.janitor.later(d.within(300*time.Millisecond), func() { cancel(errImpatient) })
	return ctx
}

var errImpatient = errors.New("somebody does not want to wait any longer")
