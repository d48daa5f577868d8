// Package enginetest tests handlers, and the engine itself, without ports.
//
// New starts an engine over a network that lives in memory; Dial connects to it
// like a client. Everything between the two is what ships: loops, sessions,
// queues and deadlines. Only sockets and poller are replaced.
//
//	func TestEcho(t *testing.T) {
//		h := enginetest.New(t, echo)
//		c := h.Dial()
//		...
//	}
//
// The network behaves like Linux where the engine can tell: bounded buffers,
// half-close, resets, edges instead of levels. The tests of this package run the
// engine's loops on it under a seeded schedule; see TestSimulation.
package enginetest
