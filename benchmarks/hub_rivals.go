//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

// rivalHubs are other engines; they run when named.
func rivalHubs() []hub {
	return []hub{
		{"gnet", "gnet v2, a loop per processor; AsyncWrite of each message to each connection; no bound on its backlog", startGnetHub},
		{"gnet-batch", "gnet v2, a loop per processor; a function per loop writes all that a read has brought to each of its connections", startGnetBatchHub},
		{"nbio", "nbio, default options but MaxWriteBufferSize 4 MiB; Write of each message to each connection", startNbioHub},
		{"nbio-batch", "nbio, default options but MaxWriteBufferSize 4 MiB; one Write to each connection for all that a read has brought", startNbioBatchHub},
		{"netpoll", "netpoll, PollerNum GOMAXPROCS; each message to a mux.ShardQueue of each connection; no bound on its backlog", startNetpollHub},
		{"netpoll-batch", "netpoll, PollerNum GOMAXPROCS; all that a read has brought to a mux.ShardQueue of each connection as one; no bound on its backlog", startNetpollBatchHub},
	}
}
