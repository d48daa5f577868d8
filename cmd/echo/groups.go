package main

import (
	"fmt"
	"io"

	"github.com/weirnet/weir/session"
)

// writeGroups tells what became of messages to groups, if there were any:
//
//	messages to groups           3
//	delivered                    9   once for each session
//	dropped                      0   left out for sessions that were behind
//	expired                      0   not sent in time
//	unsent                       0   waiting for sessions that closed
//	closed                       0   sessions that were too far behind
func writeGroups(out io.Writer, st session.GroupStats) {
	if st.Published == 0 {
		return
	}
	fmt.Fprintf(out, "\n%-23s %12s\n", "messages to groups", formatCount(st.Published))
	for _, row := range []struct {
		what    string
		n       uint64
		meaning string
	}{
		{"delivered", st.Delivered, "once for each session"},
		{"dropped", st.Dropped, "left out for sessions that were behind"},
		{"expired", st.Expired, "not sent in time"},
		{"unsent", st.Unsent, "waiting for sessions that closed"},
		{"closed", st.Closed, "sessions that were too far behind"},
	} {
		fmt.Fprintf(out, "%-23s %12s   %s\n", row.what, formatCount(row.n), row.meaning)
	}
}
