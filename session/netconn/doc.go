// Package netconn makes a session a net.Conn, and an engine's listener a net.Listener, for
// code that is written for them: net/http, crypto/tls, and whatever else reads and writes
// where it stands.
//
//	Session ──New──▶ Conn ──Release──▶ Session
//
// Both ways lead through the middle of a stream: what was received and not yet handled is
// what the Conn reads first, and what it has not read comes first to the handler that
// gets the session back.
//
// # What it costs
//
// A goroutine for each connection, the caller's, which waits in Read. That is what an
// engine is there to avoid: an idle connection of net/http's takes some ten kilobytes,
// served from here or by package net, and a Conn adds about as much as a net.TCPConn does.
// Use it where few connections are open, or where the code is there and a handler is not.
// docs/decisions/022-netconn.md has figures.
//
// # How bytes get here
//
// The loop leaves what it reads with the session, in every mode, and wakes who waits; no
// worker comes between. When as much waits as engine.WithUnread says, the loop stops
// reading, until some of it is read. Write hands over what fits below the session's high
// water mark, waits for room for the rest, and returns when all of it is with the kernel
// or in the session's queue.
//
// Deadlines, half-close and errors are those of package net; see Conn.
package netconn
