// Package buffer keeps the bytes that travel through weir: reference-counted
// pieces of memory, a pool that reuses them, and a queue of bytes laid over
// them. It knows no sockets.
//
//	Pool ──Get, Adopt──▶ Segment ──Append, AppendView──▶ Chain ──Views──▶ writev
//	  ▲                     │                              │
//	  └─────last Release────┴────────────Consume───────────┘
//
// A Segment is memory with a count of its owners. A Chain is a queue of views
// into segments and owns one reference for each view, so one segment can lie in
// many chains at once: a broadcast is written once and queued a thousand times.
//
// # What aliases and what copies
//
// Bytes, Peek, Views and Front return memory that the segment still owns. Such a
// slice is good until the reference behind it is released; the method says
// when that may happen. Slices are cut with their capacity, so an append to one
// never runs into its neighbour. Append, Write, Read and Unshare copy.
//
// # Who may call
//
// Pool and the reference count of a Segment are safe for any goroutine. The
// memory of a segment is not guarded: whoever shares it only reads. A Chain
// belongs to one goroutine at a time.
//
// # Debugging
//
// Config.Debug makes a pool fill released memory with a poison byte, notice
// writes to it, panic at the use of a released segment, and name the stacks of
// the segments that are still out. The build tag weirdebug turns this on for
// every pool and checks the invariants of pools and chains after each change.
package buffer
