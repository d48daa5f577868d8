package main

import (
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
)

func TestFinalTable(t *testing.T) {
	for name, c := range map[string]struct {
		st   engine.Stats
		want string
	}{
		"nothing happened": {engine.Stats{}, `echo: 0 sessions, 0 B in, 0 B out

closed because            sessions
none                             0

aborted at the deadline          0   sessions that had not closed in time
unsent                         0 B   queued for clients that did not read it
unhandled                      0 B   received and not handled
`},
		"much happened": {engine.Stats{
			Opened: 1234, BytesIn: 3 << 20, BytesOut: 2 << 20, Unsent: 192 << 10, Unhandled: 17, Aborted: 2, BlockedHandlers: 1,
			Closed: map[string]uint64{"idle": 0, "shutdown": 4, "peer_closed": 1226, "peer_reset": 4},
		}, `echo: 1,234 sessions, 3.0 MiB in, 2.0 MiB out

closed because             sessions
peer_closed                   1,226
peer_reset                        4
shutdown                          4

aborted at the deadline           2   sessions that had not closed in time
unsent                    192.0 KiB   queued for clients that did not read it
unhandled                      17 B   received and not handled
blocked                           1   times a handler or loop was stuck
`},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			writeFinal(&out, c.st)
			if out.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), c.want)
			}
		})
	}
}
