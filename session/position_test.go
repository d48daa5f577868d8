package session_test

import (
	"strings"
	"testing"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// SendAt tells from where on a message has left, whatever is queued before it, and
// whether it is written from where it lies or from a copy.
func TestSendAt(t *testing.T) {
	for name, codec := range map[string]frame.Codec{"framed": frame.Default(), "raw": nil} {
		t.Run(name, func(t *testing.T) {
			r := openRig(t, session.Framed(&parts{}, codec))
			head := 0
			if codec != nil {
				head = 4
			}
			r.send("before")
			for _, p := range []string{"short", strings.Repeat("long", 2000), ""} {
				before := r.session.Stats().BytesOut
				end, err := r.session.SendAt([]byte(p))
				wantError(t, "SendAt", err, nil)
				if want := before + uint64(len(p)); end != want || r.session.Stats().BytesOut != want+uint64(head) {
					t.Errorf("%d bytes end at %d, want %d; %d have left", len(p), end, want, r.session.Stats().BytesOut)
				}
			}
			r.link.script, r.link.otherwise = []answer{{n: 2}}, &again
			sent := r.session.Stats().BytesOut
			r.send("stays")
			end, err := r.session.SendAt([]byte("behind it"))
			wantError(t, "SendAt", err, nil)
			if want := sent + uint64(head+5+9); end != want {
				t.Errorf("what is queued ends at %d, want %d", end, want)
			}
			if out := r.session.Stats().BytesOut; out != sent+2 || out >= end {
				t.Errorf("%d bytes have left, want %d", out, sent+2)
			}
			r.close()
			_, err = r.session.SendAt([]byte("x"))
			wantError(t, "SendAt after the end", err, session.ErrClosed)
		})
	}
}

func TestOnLoop(t *testing.T) {
	r := openRig(t, &parts{})
	for _, on := range []bool{true, false} {
		r.link.onLoop = on
		if got := r.session.OnLoop(); got != on {
			t.Errorf("OnLoop is %v, want %v", got, on)
		}
	}
	r.link.onLoop = true
	r.close()
	if r.session.OnLoop() {
		t.Error("OnLoop of a closed session")
	}
}
