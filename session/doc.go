// Package session holds what a user of weir holds: the Session, one end of an
// open connection, and the Handler that is told of its messages.
//
// A Session is safe from any goroutine. Its engine calls the Handler, one call
// at a time per session and in order; in between, anybody may Send, pause,
// resume or close.
//
//	Connecting ──open──▶ Open ──Close, peer's FIN, deadline──▶ Draining ──▶ Closed
//	     │                 └───────────── Abort, error ─────────────────────▶ ▲
//	     └──────────────────────── never opened ──────────────────────────────┘
//
// One that is aborted, or closed before it opened, is Draining until its loop
// has closed it.
//
// Output goes through a queue with two water marks and a cap. Above the high
// water mark the session stops reading, so that a peer that does not read is
// not answered without end; below the low one it reads again. What does not fit
// under the cap is refused with ErrBufferFull. What was taken is written, or
// counted as Unsent in the CloseError that OnClose gets.
package session
