package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/weirnet/weir/engine"
)

// serveClosed answers a request for /closed: a line for each session that closed
// lately, the last one first.
//
//	15:04:05.000 127.0.0.1:40112 peer_closed after 1.2s: in 12 B, out 12 B
func serveClosed(w http.ResponseWriter, all []engine.Closing) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, c := range all {
		fmt.Fprintln(w, closingText(c)) // fails when the client has gone
	}
}

func closingText(c engine.Closing) string {
	text := fmt.Sprintf("%s %s %s after %v: in %s, out %s", c.Closed.Format("15:04:05.000"), remoteText(c), c.Reason.String(),
		c.Closed.Sub(c.Opened).Round(time.Millisecond), formatBytes(c.BytesIn), formatBytes(c.BytesOut))
	if c.Unsent > 0 {
		text += fmt.Sprintf(", unsent %s", formatBytes(uint64(c.Unsent)))
	}
	if c.Unhandled > 0 {
		text += fmt.Sprintf(", unhandled %s", formatBytes(uint64(c.Unhandled)))
	}
	if c.Cause != "" {
		text += fmt.Sprintf(", cause %q", c.Cause) // it may have bytes of the peer's
	}
	return text
}

// remoteText is the peer's address; most unix peers have no name.
func remoteText(c engine.Closing) string {
	if text := c.Remote.String(); text != "" {
		return text
	}
	return c.Remote.Network()
}
