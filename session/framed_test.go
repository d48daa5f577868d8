package session_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Sessions with a codec: what comes in is cut the same however it was split, and what
// goes out is framed whole or not at all.

// inline and pooled are the two ways in which handlers run.
var handlerModes = map[string]func(*transport.Shared){"inline": func(*transport.Shared) {}, "pool": pooled}

// someCodecs is one codec of each kind, with payloads that it takes.
func someCodecs(t testing.TB) map[string]struct {
	frame.Codec
	payloads []string
} {
	made := func(c frame.Codec, err error) frame.Codec {
		must(t, err)
		return c
	}
	texts := []string{"one", "", "x", strings.Repeat("long ", 60), "", "", "end"}
	return map[string]struct {
		frame.Codec
		payloads []string
	}{
		"four bytes":     {frame.Default(), texts},
		"varint":         {made(frame.NewLengthPrefix(frame.LengthPrefix{Width: frame.Varint})), texts},
		"counted itself": {made(frame.NewLengthPrefix(frame.LengthPrefix{Width: 2, Adjust: 2, LittleEndian: true})), texts},
		"lines":          {frame.Lines(), texts},
		"delimiter":      {made(frame.NewDelimiter(frame.Delimiter{Bytes: "\r\n.\r\n"})), texts},
		"fixed":          {made(frame.NewFixed(7)), []string{"seven 1", "seven 2", "seven 3", "seven 4"}},
	}
}

// wire is payloads as they go on the wire.
func wire(t testing.TB, c frame.Codec, payloads ...string) (all []byte) {
	for _, p := range payloads {
		var err error
		if all, err = c.Head(all, []byte(p)); err != nil {
			t.Fatal(err)
		}
		all = c.Tail(append(all, p...))
	}
	return all
}

// framedRig is an open session that notes the messages that come.
type framedRig struct {
	*rig
	messages []string
}

func newFramedRig(t *testing.T, c frame.Codec, change func(*transport.Shared), handle func(*session.Session, session.Frame)) *framedRig {
	f := &framedRig{}
	p := &parts{message: func(s *session.Session, m session.Frame) {
		f.messages = append(f.messages, string(m.Bytes()))
		if cap(m.Bytes()) != m.Len() {
			t.Errorf("a message of %d bytes has room for %d", m.Len(), cap(m.Bytes()))
		}
		if handle != nil {
			handle(s, m)
		}
	}}
	f.rig = newRig(t, p, change)
	// newRig looks for parts, and OnClose is the one that it wraps.
	f.session.SetHandler(session.Framed(p, c))
	st, _ := f.driver.Open()
	f.settle(st)
	return f
}

// settle runs what is due, as loop and workers do.
func (f *framedRig) settle(st transport.Status) transport.Status {
	for st&transport.Due != 0 || f.link.attended() > 0 {
		if st&transport.Due != 0 {
			for f.driver.Run(f.shared) {
			}
		}
		st = f.driver.Status()
	}
	return st
}

// receive delivers p as a loop reads it: into a segment that nobody else looks at.
func (f *framedRig) receive(p []byte) transport.Status {
	if f.segment.Shared() {
		f.segment.Release()
		f.segment = f.shared.Pool.Get(max(4096, len(p)))
	}
	n := copy(f.segment.Bytes(), p)
	return f.driver.Deliver(f.segment, f.segment.Bytes()[:n], 0)
}

func (f *framedRig) wantMessages(want ...string) {
	f.t.Helper()
	if !slices.Equal(f.messages, want) {
		f.t.Fatalf("messages %.200q, want %.200q", f.messages, want)
	}
	f.messages = nil
}

// wantIdle wants the session to hold no memory.
func (f *framedRig) wantIdle() {
	f.t.Helper()
	if st := f.shared.Pool.Stats(); st.Segments != 1 { // what is read into
		f.t.Fatalf("an idle session holds buffers: %+v", st)
	}
	if n := f.session.Stats().Unread; n != 0 || f.shared.Unread.Load() != 0 {
		f.t.Fatalf("%d bytes are unread, %d charged", n, f.shared.Unread.Load())
	}
}

// TestEverySplitGivesTheSameMessages cuts a stream of frames in two and in three at
// every place, and into single bytes.
func TestEverySplitGivesTheSameMessages(t *testing.T) {
	for name, c := range someCodecs(t) {
		for mode, change := range handlerModes {
			t.Run(name+", "+mode, func(t *testing.T) {
				f := newFramedRig(t, c, change, func(s *session.Session, m session.Frame) { must(t, s.Send(m.Bytes())) })
				stream := wire(t, c, c.payloads...)
				round := func(parts ...[]byte) {
					for _, p := range parts {
						f.settle(f.receive(p))
					}
					f.wantMessages(c.payloads...)
					f.wantTaken(string(stream))
					f.link.took, f.link.calls = nil, nil
					f.wantIdle()
				}
				step := 2
				if checkingBuild || testing.Short() {
					step = 5
				}
				for i := 0; i <= len(stream); i += step {
					round(stream[:i], stream[i:])
					for j := i; j <= min(i+40, len(stream)); j += 5 * step {
						round(stream[:i], stream[i:j], stream[j:])
					}
				}
				round(slices.Collect(slices.Chunk(stream, 1))...)

				// All at once before the handlers run.
				var due transport.Status
				for p := range slices.Chunk(stream, 11) {
					due |= f.receive(p)
				}
				f.settle(due)
				f.wantMessages(c.payloads...)
			})
		}
	}
}

func TestManyFramesInOneSegment(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Default(), change, nil)
			var want []string
			for i := range 1000 {
				want = append(want, fmt.Sprint(i))
			}
			f.segment.Release()
			f.segment = f.shared.Pool.Get(64 << 10)
			f.settle(f.receive(wire(t, frame.Default(), want...)))
			f.wantMessages(want...)
			f.wantIdle()
		})
	}
}

// A frame that breaks the rules ends the session, after the answers to those before.
func TestBadFrames(t *testing.T) {
	small, err := frame.NewLengthPrefix(frame.LengthPrefix{Max: 100})
	must(t, err)
	shortLines, err := frame.NewDelimiter(frame.Delimiter{Bytes: "\n", Max: 10})
	must(t, err)
	varint, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: frame.Varint})
	must(t, err)
	for name, c := range map[string]struct {
		codec frame.Codec
		bad   string
		want  error
	}{
		"too large":         {small, "\x00\x00\x00\x65", frame.ErrTooLarge},
		"largest number":    {frame.Default(), "\xff\xff\xff\xff", frame.ErrTooLarge},
		"overlong number":   {varint, "\x80\x00", frame.ErrBadLength},
		"endless line":      {shortLines, "01234567890123", frame.ErrTooLarge},
		"codec that panics": {panicking{frame.Lines()}, "panic\n", errCodec},
	} {
		for mode, change := range handlerModes {
			t.Run(name+", "+mode, func(t *testing.T) {
				f := newFramedRig(t, c.codec, change, func(s *session.Session, m session.Frame) { must(t, s.Send(m.Bytes())) })
				before := f.shared.Pool.Stats().Allocated
				good := wire(t, c.codec, "one", "two")
				st := f.settle(f.receive(append(good, c.bad+"behind"...)))
				if st&transport.Draining == 0 {
					t.Fatalf("status %b, want Draining", st)
				}
				f.wantMessages("one", "two")
				f.wantTaken(string(good))
				if f.link.shutdown != 1 {
					t.Errorf("%d FINs", f.link.shutdown)
				}
				if grown := f.shared.Pool.Stats().Allocated - before; grown > 64<<10 {
					t.Errorf("%d bytes were allocated for a frame that is refused", grown)
				}
				f.settle(f.receive(good)) // too late
				f.wantMessages()
				reason := f.close()
				f.driver.Run(f.shared)
				if reason.Reason != session.ReasonProtocolError || !errors.Is(reason, c.want) {
					t.Errorf("closed because of %v, want %v", reason, c.want)
				}
				var bad *frame.Error
				if name != "codec that panics" && !errors.As(reason, &bad) {
					t.Errorf("%v is no frame.Error", reason)
				}
				if want := len(c.bad) + len("behind") + len(good); reason.Unhandled != want {
					t.Errorf("%d bytes unhandled, want %d", reason.Unhandled, want)
				}
			})
		}
	}
}

var errCodec = errors.New("a mistake in a codec")

// panicking is a codec with a mistake.
type panicking struct{ frame.Codec }

func (p panicking) Cut(in *buffer.Chain, seen int) (frame.Cut, error) {
	if strings.HasPrefix(string(in.First(5)), "panic") {
		panic(errCodec)
	}
	return p.Codec.Cut(in, seen)
}

// A frame that is not whole when the peer ends is an error, not a silent end.
func TestTruncatedFrameThenFIN(t *testing.T) {
	for name, c := range someCodecs(t) {
		for mode, change := range handlerModes {
			t.Run(name+", "+mode, func(t *testing.T) {
				stream := wire(t, c, c.payloads[0])
				for n := 1; n < len(stream); n++ {
					f := newFramedRig(t, c, change, func(s *session.Session, m session.Frame) { must(t, s.Send(m.Bytes())) })
					f.settle(f.receive(append(wire(t, c, c.payloads...), stream[:n]...)))
					f.settle(f.driver.PeerClosed())
					f.wantMessages(c.payloads...)
					f.wantTaken(string(wire(t, c, c.payloads...)))
					reason := f.close()
					f.driver.Run(f.shared)
					if reason.Reason != session.ReasonProtocolError || !errors.Is(reason, io.ErrUnexpectedEOF) {
						t.Fatalf("after %d bytes of %d: closed because of %v", n, len(stream), reason)
					}
				}
				f := newFramedRig(t, c, change, nil)
				f.settle(f.receive(stream))
				f.settle(f.driver.PeerClosed())
				reason := f.close()
				f.driver.Run(f.shared)
				if reason.Reason != session.ReasonPeerClosed {
					t.Errorf("after a whole frame: closed because of %v", reason)
				}
			})
		}
	}
}

// FIN in the middle of a frame while reading is paused: the session ends when all frames
// before it have been shown.
func TestTruncatedFrameWhilePaused(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Lines(), change, func(s *session.Session, _ session.Frame) { s.PauseRead() })
			f.settle(f.receive([]byte("one\ntwo\nthr")))
			f.settle(f.driver.PeerClosed())
			f.wantMessages("one")
			f.session.ResumeRead() // and pauses behind the next
			f.settle(f.driver.Status())
			f.wantMessages("two")
			if f.session.State() != session.Open {
				t.Error("ended while there may be a message")
			}
			f.session.ResumeRead()
			f.settle(f.driver.Status())
			reason := f.close()
			f.driver.Run(f.shared)
			if !errors.Is(reason, io.ErrUnexpectedEOF) {
				t.Errorf("closed because of %v", reason)
			}
		})
	}
}

// SetCodec and SetHandler in a handler act from the next byte on, whatever has come
// already.
func TestCodecChangesAtTheNextByte(t *testing.T) {
	for mode, change := range handlerModes {
		for _, step := range []int{1, 2, 5, 1000} {
			t.Run(fmt.Sprintf("%s, %d bytes at once", mode, step), func(t *testing.T) {
				var second []string
				other := session.HandlerFunc(func(s *session.Session, m session.Frame) {
					second = append(second, string(m.Bytes()))
					must(t, s.Send(m.Bytes()))
				})
				f := newFramedRig(t, frame.Lines(), change, func(s *session.Session, m session.Frame) {
					must(t, s.Send(m.Bytes()))
					switch string(m.Bytes()) {
					case "prefix":
						s.SetCodec(frame.Default())
					case "lines":
						s.SetCodec(frame.Lines())
					case "handler":
						s.SetHandler(other) // the codec stays
					}
				})
				in := "a\nprefix\n" + "\x00\x00\x00\x01b" + "\x00\x00\x00\x05lines" + "c\n\nhandler\nd\n"
				for p := range slices.Chunk([]byte(in), step) {
					f.settle(f.receive(p))
				}
				f.wantMessages("a", "prefix", "b", "lines", "c", "", "handler")
				f.wantTaken(in)
				if !slices.Equal(second, []string{"d"}) {
					t.Errorf("the second handler got %q", second)
				}
				f.wantIdle()
			})
		}
	}
}

// SetCodec from elsewhere has what waits looked at again.
func TestCodecChangedWhileAFrameWaits(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Lines(), change, nil)
			f.settle(f.receive([]byte("no end")))
			f.wantMessages()
			f.session.SetCodec(nil)
			f.settle(f.driver.Status())
			f.wantMessages("no end")
			f.settle(f.receive([]byte("raw")))
			f.wantMessages("raw")
			f.session.SetCodec(frame.Raw())
			must(t, f.session.Send([]byte("raw")))
			f.wantTaken("raw")
			f.wantIdle()
		})
	}
}

// Frames that are kept stay as they are, whatever is read later.
func TestFramesAreRetained(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			var kept []session.Frame
			f := newFramedRig(t, frame.Default(), change, func(_ *session.Session, m session.Frame) { kept = append(kept, m.Retain()) })
			var want []string
			for i := range 50 {
				want = append(want, fmt.Sprint(i), "", strings.Repeat(string(rune('a'+i%26)), 100*(i%40)))
			}
			for p := range slices.Chunk(wire(t, frame.Default(), want...), 1000) {
				f.settle(f.receive(p))
			}
			for i, k := range kept {
				if string(k.Bytes()) != want[i] {
					t.Fatalf("frame %d became %.20q", i, k.Bytes())
				}
				k.Release()
			}
			if len(kept) != len(want) {
				t.Errorf("%d frames, want %d", len(kept), len(want))
			}
			f.wantIdle()
		})
	}
}

// All ways to send frame what they send; what cannot be framed is refused whole.
func TestEverySendIsFramed(t *testing.T) {
	codec, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: 2, Max: 9000})
	must(t, err)
	large := strings.Repeat("large ", 1000)
	for _, text := range []string{"small", "", large} {
		for name, send := range map[string]func(*session.Session, []byte) error{
			"Send":         (*session.Session).Send,
			"SendOwned":    func(s *session.Session, p []byte) error { return s.SendOwned(p, nil) },
			"SendNotify":   func(s *session.Session, p []byte) error { return s.SendNotify(p, func(error) {}) },
			"SendContext":  func(s *session.Session, p []byte) error { return s.SendContext(context.Background(), p) },
			"SendAndClose": func(s *session.Session, p []byte) error { return s.SendAndClose(p, nil) },
		} {
			for script, answers := range map[string][]answer{
				"at once": nil, "byte for byte": slices.Repeat([]answer{{n: 1}}, 10), "later": {again},
			} {
				t.Run(fmt.Sprintf("%s of %d bytes, taken %s", name, len(text), script), func(t *testing.T) {
					f := newFramedRig(t, codec, handlerModes["inline"], nil)
					refused := send(f.session, make([]byte, 9001))
					if !errors.Is(refused, frame.ErrTooLarge) {
						t.Errorf("9001 bytes: %v, want %v", refused, frame.ErrTooLarge)
					}
					if n := f.session.Stats().Queued; n != 0 {
						t.Errorf("%d bytes of it are queued", n)
					}
					want := ""
					if name != "SendAndClose" { // which has closed
						must(t, f.session.Send([]byte("before")))
						f.link.script = answers
						must(t, send(f.session, []byte(text)))
						must(t, f.session.Send([]byte("after")))
						want = string(wire(t, codec, "before", text, "after"))
					}
					for f.driver.Status()&(transport.Blocked|transport.Pending) != 0 {
						f.driver.Writable()
					}
					f.wantTaken(want)
				})
			}
		}
	}
	t.Run("SendAndClose", func(t *testing.T) {
		f := newFramedRig(t, codec, handlerModes["inline"], nil)
		must(t, f.session.SendAndClose([]byte("last"), nil))
		f.wantTaken(string(wire(t, codec, "last")))
		if f.link.shutdown != 1 {
			t.Errorf("%d FINs", f.link.shutdown)
		}
	})
}

// A completion comes when the whole frame has left.
func TestNotifyOfAFrame(t *testing.T) {
	f := newFramedRig(t, frame.Default(), handlerModes["inline"], nil)
	f.link.script, f.link.otherwise = []answer{{n: 4}, {n: 2}, {n: 2}}, &again
	done := 0
	must(t, f.session.SendNotify([]byte("hello"), func(err error) { wantError(t, "completion", err, nil); done++ }))
	f.settle(f.driver.Status())
	if done != 0 {
		t.Error("it came a byte too early")
	}
	f.link.otherwise = nil
	f.settle(f.driver.Writable())
	if done != 1 {
		t.Errorf("it came %d times", done)
	}
	f.wantTaken(string(wire(t, frame.Default(), "hello")))
}

// An echo of the view is right whether it is queued by reference or copied, and whether
// the kernel takes it at once; and the loop's segment is not pinned by it afterwards.
func TestEchoOfViewsIsFramed(t *testing.T) {
	for mode, change := range handlerModes {
		for _, size := range []int{1, 100, 4095, 4096, 5000, 60_000} {
			for name, otherwise := range map[string]*answer{"taken": nil, "stuck": &again} {
				t.Run(fmt.Sprintf("%s, %d bytes, %s", mode, size, name), func(t *testing.T) {
					f := newFramedRig(t, frame.Default(), change, func(s *session.Session, m session.Frame) {
						must(t, s.Send(m.Bytes()))
						must(t, s.Send(m.Bytes()[m.Len()/2:]))
					})
					f.shared.Cap, f.shared.HighWater = 1<<20, 1<<20
					f.segment.Release()
					f.segment = f.shared.Pool.Get(256 << 10)
					f.link.otherwise = otherwise
					payload := string(numbered(1, 2, size))
					in := wire(t, frame.Default(), payload, payload)
					f.settle(f.receive(in[:size]))
					f.settle(f.receive(in[size:]))
					if f.segment.Shared() {
						t.Error("the loop's segment is still used")
					}
					f.link.set(nil)
					for f.settle(f.driver.Status())&(transport.Blocked|transport.Pending) != 0 {
						f.settle(f.driver.Writable())
					}
					half := payload[len(payload)/2:]
					f.wantTaken(string(wire(t, frame.Default(), payload, half, payload, half)))
					f.wantIdle()
				})
			}
		}
	}
}

// What a frame announces costs nothing; what has come of it costs that.
func TestMemoryFollowsWhatHasCome(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Default(), change, nil)
			f.settle(f.receive([]byte("\x01\x00\x00\x00" + "0123456789")))
			if st := f.shared.Pool.Stats(); st.InUse > 4096+256 {
				t.Errorf("14 bytes of a frame of 16 MiB hold %d", st.InUse-4096)
			}
			const came = 300_000
			for range came / 1000 {
				f.settle(f.receive(make([]byte, 1000)))
			}
			if st := f.shared.Pool.Stats(); st.InUse > 2*came {
				t.Errorf("%d bytes of a frame hold %d", came, st.InUse)
			}
			if f.session.Stats().Unread != came+14 {
				t.Errorf("%d bytes are unread", f.session.Stats().Unread)
			}
			if st := f.driver.Status(); st&transport.Full != 0 {
				t.Error("the session is called full in the middle of a frame")
			}
		})
	}
}

// What all sessions have begun and not finished is bounded: whoever adds to it above the
// bound is closed.
func TestUnfinishedFramesAreBounded(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			const limit = 300_000
			f := newFramedRig(t, frame.Default(), func(sh *transport.Shared) { change(sh); sh.QueuedCap = limit }, nil)
			f.shared.Unread.Add(100_000) // others'
			f.settle(f.receive([]byte("\x01\x00\x00\x00")))
			came := 4
			for f.session.State() == session.Open && came < 1<<20 {
				f.settle(f.receive(make([]byte, 1000)))
				came += 1000
			}
			if came < limit-101_000 || came > limit-99_000 {
				t.Errorf("closed after %d bytes", came)
			}
			if n := f.shared.Unread.Load(); n != 100_000 {
				t.Errorf("%d bytes are still charged", n-100_000)
			}
			f.shared.Unread.Add(-100_000)
			reason := f.close()
			f.driver.Run(f.shared)
			if reason.Reason != session.ReasonOverLimit || !errors.Is(reason, session.ErrUnreadFull) || reason.Unhandled != came {
				t.Errorf("after %d bytes closed because of %v", came, reason)
			}
		})
	}
}

// A peer that finishes its frames is never closed for that bound, and one that holds
// little is not closed for what others hold.
func TestUnfinishedFramesOfOthersDoNoHarm(t *testing.T) {
	f := newFramedRig(t, frame.Default(), func(sh *transport.Shared) { sh.QueuedCap = 100 }, nil)
	f.shared.Unread.Add(1 << 20)
	defer f.shared.Unread.Add(-1 << 20)
	for range 10 {
		for p := range slices.Chunk(wire(t, frame.Default(), strings.Repeat("x", 60_000)), 3000) {
			f.settle(f.receive(p))
		}
	}
	if len(f.messages) != 10 || f.session.State() != session.Open {
		t.Errorf("%d messages came, state %v", len(f.messages), f.session.State())
	}
}

// A reset in the middle of a frame is a reset, after what was whole before it.
func TestResetInTheMiddleOfAFrame(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Default(), change, nil)
			st := f.receive(append(wire(t, frame.Default(), "whole"), 0, 0, 0, 9, 'h'))
			st |= f.driver.Broken(syscall.ECONNRESET)
			f.settle(st)
			f.wantMessages("whole")
			reason := f.close()
			f.driver.Run(f.shared)
			if reason.Reason != session.ReasonPeerReset || reason.Unhandled != 5 {
				t.Errorf("closed because of %v, %d bytes unhandled", reason, reason.Unhandled)
			}
		})
	}
}

// A backlog of frames is shown a budget at a time, and reading stops meanwhile when the
// strand holds enough.
func TestFramesAreShownInTurns(t *testing.T) {
	f := newFramedRig(t, frame.Default(), pooled, nil)
	f.segment.Release()
	f.segment = f.shared.Pool.Get(256 << 10)
	in := wire(t, frame.Default(), slices.Repeat([]string{"x"}, 15_000)...)
	st := f.receive(in)
	if st&transport.Full == 0 {
		t.Errorf("status %b with %d bytes unread, want Full", st, len(in))
	}
	runs := 1
	for f.driver.Run(f.shared) {
		runs++
	}
	if want := (15_000 + 255) / 256; runs != want {
		t.Errorf("%d runs, want %d", runs, want)
	}
	if st := f.settle(f.driver.Status()); st&transport.Full != 0 {
		t.Error("still full")
	}
	if len(f.messages) != 15_000 {
		t.Errorf("%d messages", len(f.messages))
	}
	f.wantIdle()
}

// The time since which a frame is waited for begins anew with each frame, and only then.
func TestFrameSince(t *testing.T) {
	for mode, change := range handlerModes {
		t.Run(mode, func(t *testing.T) {
			f := newFramedRig(t, frame.Lines(), change, nil)
			if !f.driver.Framed() {
				t.Error("Framed says no")
			}
			at := func(now uint32, p string, want uint32, partial bool) {
				t.Helper()
				if f.segment.Shared() {
					f.segment.Release()
					f.segment = f.shared.Pool.Get(4096)
				}
				n := copy(f.segment.Bytes(), p)
				f.settle(f.driver.Deliver(f.segment, f.segment.Bytes()[:n], now))
				if since, ok := f.driver.FrameSince(); ok != partial || ok && since != want {
					t.Errorf("at %d, after %q: since %d, %v; want %d, %v", now, p, since, ok, want, partial)
				}
			}
			at(10, "whole\n", 0, false)
			at(20, "be", 20, true)
			at(30, "gun", 20, true)
			at(40, " end\nnext", 40, true)
			at(50, "x", 40, true)
			f.driver.FrameFrom(60)
			at(70, "x", 60, true)
			at(80, "\n", 0, false)
			at(90, "x", 90, true)
		})
	}
}

// A large frame is in one piece for the handler, with any codec that allows it.
func TestLargeFrameIsOnePiece(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<15) // 512 KiB
	for name, c := range map[string]frame.Codec{"prefix": frame.Default(), "lines": frame.Lines()} {
		for mode, change := range handlerModes {
			t.Run(name+", "+mode, func(t *testing.T) {
				var got []byte
				f := newFramedRig(t, c, change, func(_ *session.Session, m session.Frame) { got = bytes.Clone(m.Bytes()) })
				for p := range slices.Chunk(wire(t, c, string(payload)), 4096) {
					f.settle(f.receive(p))
				}
				if !bytes.Equal(got, payload) {
					t.Errorf("%d bytes came, want the %d sent", len(got), len(payload))
				}
				f.messages = nil
				f.wantIdle()
			})
		}
	}
}

// Whatever prefix a peer sends, no memory is taken for it before the bytes come.
func TestEveryPrefixIsCheap(t *testing.T) {
	for _, n := range []uint32{0, 1, 100, 16 << 20, 16<<20 + 1, 1 << 31, 1<<32 - 1} {
		f := newFramedRig(t, frame.Default(), handlerModes["inline"], nil)
		f.settle(f.receive(binary.BigEndian.AppendUint32(nil, n)))
		if st := f.shared.Pool.Stats(); st.Allocated > 8192 {
			t.Errorf("length %d: %d bytes allocated", n, st.Allocated)
		}
		if open := n <= 16<<20; open != (f.session.State() == session.Open) {
			t.Errorf("length %d: state %v", n, f.session.State())
		}
	}
}

// cutter is a codec with a Cut of its own.
type cutter struct {
	frame.Codec
	cut func(in *buffer.Chain) (frame.Cut, error)
}

func (c *cutter) Cut(in *buffer.Chain, _ int) (frame.Cut, error) { return c.cut(in) }

// A codec that ends its goroutine ends its session, and leaves it unlocked.
func TestCodecThatExitsInCut(t *testing.T) {
	for _, pooled := range []bool{false, true} {
		codec := &cutter{frame.Lines(), func(*buffer.Chain) (frame.Cut, error) {
			runtime.Goexit()
			return frame.Cut{}, nil
		}}
		r := openRig(t, session.Framed(&parts{}, codec), func(s *transport.Shared) { s.Pooled = pooled })
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.driver.Run(r.shared)
			r.deliver("x")
			r.driver.Run(r.shared)
		}()
		<-ended
		stuck := time.AfterFunc(20*time.Second, func() { panic("the session stays locked") })
		reason := r.close()
		for r.driver.Run(r.shared) {
		}
		stuck.Stop()
		if reason.Reason != session.ReasonProtocolError {
			t.Errorf("pooled: %v: closed with %v", pooled, reason)
		}
	}
}

// A codec that cuts more than there is, or less than nothing, ends its session.
func TestCodecThatCutsWhatIsNotThere(t *testing.T) {
	for _, cut := range []frame.Cut{{Head: 4}, {Body: 4}, {Tail: 4}, {Head: 2, Body: 2}, {Head: math.MaxInt, Body: math.MaxInt}, {Head: -1, Body: 1}, {Body: 1, Tail: -1}} {
		codec := &cutter{frame.Lines(), func(*buffer.Chain) (frame.Cut, error) { return cut, nil }}
		r := openRig(t, session.Framed(&parts{}, codec))
		r.deliver("abc")
		if reason := r.close(); reason.Reason != session.ReasonProtocolError || !strings.Contains(reason.Error(), "of 3 bytes") {
			t.Errorf("%+v: closed with %v", cut, reason)
		}
	}
}

// longFrames are codecs, and how a frame begins that may be 16 MiB long.
var longFrames = map[string]struct {
	codec  frame.Codec
	header string
}{
	"lines":         {frame.Lines(), ""},
	"length prefix": {frame.Default(), "\x01\x00\x00\x00"},
}

// What sessions hold of unfinished frames together is bounded, also where a codec looks for a
// frame's end and cannot tell where that is.
func TestUnreadIsBoundedWhateverEndsAFrame(t *testing.T) {
	const most = 256 << 10
	for name, c := range longFrames {
		for mode, change := range handlerModes {
			t.Run(name+" "+mode, func(t *testing.T) {
				r := openRig(t, session.Framed(&parts{}, c.codec), change, func(s *transport.Shared) { s.QueuedCap = most })
				r.driver.Run(r.shared)
				r.feed(c.header)
				for range 300 {
					r.feed(strings.Repeat("x", 4000))
				}
				if r.session.State() == session.Open {
					t.Errorf("%d bytes are held of an unfinished frame, and at most %d may be", r.shared.Unread.Load(), most)
				}
			})
		}
	}
}

// feed delivers p, and has the handlers run.
func (r *rig) feed(p string) {
	if st := r.deliver(p); st&transport.Due != 0 {
		r.driver.Run(r.shared)
	}
}

// A frame that comes in small pieces takes not much more memory than it has bytes, and no
// more segments the longer it is.
func TestFrameInSmallPieces(t *testing.T) {
	const pieces = 4000
	for name, c := range longFrames {
		for mode, change := range handlerModes {
			t.Run(name+" "+mode, func(t *testing.T) {
				r := openRig(t, session.Framed(&parts{}, c.codec), change)
				r.driver.Run(r.shared)
				r.feed(c.header)
				for range pieces {
					r.feed("ab")
				}
				st := r.shared.Pool.Stats()
				if held := st.InUse - int64(r.segment.Cap()); held > 8*2*pieces || st.Segments > 20 {
					t.Errorf("%d bytes were received, %d are held in %d segments", 2*pieces, held, st.Segments-1)
				}
			})
		}
	}
}

// What comes behind a handler that is at work, for nobody knows how long, does not keep the
// loop's segment.
func TestByteBehindABusyHandlerKeepsNoLoopSegment(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	r := openRig(t, &parts{message: func(_ *session.Session, f session.Frame) {
		if string(f.Bytes()) == "x" {
			in <- struct{}{}
			<-out
		}
	}}, pooled)
	r.driver.Run(r.shared)
	r.deliver("x")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for r.driver.Run(r.shared) {
		}
	}()
	<-in
	old := r.segment // the loop goes on in another one
	r.segment = r.shared.Pool.Get(old.Cap())
	old.Release()
	r.deliver("y")
	if r.segment.Shared() {
		t.Error("one byte keeps the loop's segment")
	}
	close(out)
	<-ended
}
