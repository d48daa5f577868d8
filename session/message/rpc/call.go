package rpc

import "time"

// call is a request that waits for its answer.
type call struct {
	// The table's.
	id    uint64
	end   uint64 // where the request ends in the connection's output, if sent
	sent  bool   // the request is queued
	place int    // among the deadlines

	deadline time.Duration // since the peer began; 0: none. Not changed while in a table.
}
