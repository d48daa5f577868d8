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
// A goroutine for each connection, the caller's, which waits in Read: with a buffer of
// 4 KiB some 7 KB, over package net's connections as over these, where a session with a
// handler takes 250 bytes. Nor is it faster than package net: with ten busy connections it
// does four fifths of the round trips, with a thousand three fifths, where a handler does
// more than package net. Use it where few connections are open, or where the code is there
// and a handler is not. docs/decisions/022-netconn.md has the figures.
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
