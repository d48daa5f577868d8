//go:build linux

package main

import "fmt"

// Healthy clients of most faults, and of the one where descriptors are scarce.
const (
	healthyMany = 100
	healthyFew  = 20
)

// Why a fault is for weir alone.
const (
	noPool    = "its handlers have no pool of a given size"
	noLogger  = "takes no logger of this kind"
	noPeerLog = "does not log what peers send"
	noProgram = "a library without a program"
)

// faults are the rows, by number.
func faults() []fault {
	rows := []fault{{
		row: 1, name: "EMFILE at accept", quick: true, healthy: healthyFew,
		how: "prlimit --nofile=64, 150 connects, held for 2 s", required: "accepting pauses and goes on within 1 s after descriptors are free; no spinning",
		tools: []string{"prlimit"}, wrap: fewDescriptors, play: exhaustDescriptors,
	}}
	for _, errno := range []string{"ENFILE", "ENOBUFS", "ENOMEM"} {
		rows = append(rows, failingAccept(2, errno, errno == "ENFILE", "accepting pauses and goes on"))
	}
	for _, errno := range []string{"ECONNABORTED", "EINTR", "EPERM", "EPROTO"} {
		rows = append(rows, failingAccept(3, errno, errno == "ECONNABORTED", "the next connection is accepted at once"))
	}
	rows = append(rows, fault{
		row: 4, name: "EINTR at the poll call", healthy: healthyMany, calm: true,
		how: "strace: every third epoll_wait of each thread", required: "no wake-up is lost",
		tools: []string{"strace"}, wrap: interruptedPoll, play: keepTalking,
	}, fault{
		row: 5, name: "short writes", healthy: healthyMany,
		how: "SO_SNDBUF 4 KiB at the server, SO_RCVBUF 4 KiB at 8 clients", required: "every byte once and in order",
		play: shortWrites,
	}, fault{
		row: 5, name: "short gathering writes", quick: true, healthy: healthyMany,
		how: "as short writes, with answers of 1 MiB in 1000 pieces (quick: 256 KiB)", required: "every byte once and in order",
		play: gathers,
	}, fault{
		row: 5, name: "a large write in OnOpen", quick: true, healthy: healthyMany,
		how: "OnOpen sends 6 MiB to each of 8 clients with SO_RCVBUF 64 KiB", required: "every byte once and in order, and an echo after it",
		flags: []string{"-beside=tcp4", fmt.Sprint("-greet=", greeting)}, play: greets,
	}, fault{
		row: 5, name: "short writes on unix sockets", quick: true, healthy: healthyMany,
		how: "SO_SNDBUF 4 KiB at the server, 8 clients that echo 4 MiB (quick: 1 MiB)", required: "every byte once and in order",
		flags: []string{"-beside=unix"}, play: shortWritesUnix,
	})
	for _, errno := range []string{"ENOMEM", "ENOSPC"} {
		rows = append(rows, fault{
			row: 6, name: errno + " at epoll_ctl", healthy: healthyMany,
			how: "strace: epoll_ctl, 300 connects", required: "that connection is refused and its descriptor closed, all others are served",
			tools: []string{"strace"}, wrap: failingRegistration(errno), play: registrationFails(errno),
		})
	}
	return append(rows, fault{
		row: 7, name: "descriptors used again", healthy: healthyMany,
		how: "connections that end while a goroutine still writes to them, each with bytes of its own", required: "no peer sees another's bytes, or its end",
		play: reuseDescriptors,
	}, fault{
		row: 8, name: "a handler panics", quick: true, healthy: healthyMany,
		how: "10 handlers panic", required: "recovered, that session is closed, the stack logged at most once a second; no message of others takes more than 100 ms",
		play: panics,
	}, fault{
		row: 9, name: "a handler blocks", quick: true, healthy: healthyMany,
		how: "a handler sleeps for 3 s", required: "no message of others takes more than 100 ms (weir: and the watchdog names the handler, once)",
		unpromised: onlyPool, play: blocks,
	}, fault{
		row: 9, name: "handlers burn processor time", healthy: healthyMany,
		how: "as many handlers as processors compute for 3 s", required: "others' p99 and slowest at most twice those of std in the same run (weir: and the watchdog counts each handler)",
		unpromised: onlyPool, play: burns,
	}, fault{
		row: 10, name: "the pool is exhausted", quick: true, healthy: healthyMany, apart: true,
		how: "2 workers, 100 handlers that sleep for 50 ms", required: "every handler runs and answers; another engine in the process does not notice",
		flags: []string{"-workers=2", "-unrelated"}, foreign: noPool, exempt: hasPool, play: exhaustPool,
	}, fault{
		row: 11, name: "a client never reads", quick: true, healthy: healthyMany,
		how: "a client sends 256 MiB and reads nothing", required: "reading pauses, memory grows by at most 32 MiB, closed as a slow consumer",
		flags: []string{"-stall=2s"}, play: neverReads,
	}, fault{
		row: 12, name: "a client is stopped", healthy: healthyMany,
		how: "kill -STOP on a process with 10 busy connections", required: "as a client that never reads",
		flags: []string{"-stall=2s"}, play: stopsClient,
	}, fault{
		row: 12, name: "an idle client is stopped", quick: true, healthy: healthyMany,
		how: "kill -STOP on a process with 10 idle connections, for 3 s (quick: 1 s)", required: "it costs nothing, and goes on when it may: without a heartbeat nothing can be noticed",
		play: stopsIdleClient,
	}, fault{
		row: 12, name: "a client of ours is stopped", healthy: healthyMany,
		how: "kill -STOP on a process with 10 of weir's clients that are busy", required: "closed as slow consumers; when they go on they notice, and come back",
		flags: []string{"-stall=2s"}, foreign: noClients, play: stopsOwnClient,
	}, fault{
		row: 21, name: "half-close after 4 MiB", quick: true, healthy: healthyMany,
		how: "8 clients send 4 MiB and FIN", required: "all of it is answered, then FIN",
		play: halfCloses,
	}, fault{
		row: 22, name: "RST in the middle of a message", quick: true, healthy: healthyMany,
		how: "SO_LINGER 0 at 100 peers with data under way", required: "each is closed once, as reset by the peer",
		play: resets,
	}, fault{
		row: 22, name: "our socket is destroyed", healthy: healthyMany,
		how: "ss -K on 10 of the server's sockets", required: "each is closed once, as reset by the peer",
		tools: []string{"ss"}, play: destroys,
	}, fault{
		row: 23, name: "connect and RST", healthy: healthyMany,
		how: "10,000 times, by 4 clients at once", required: "nothing is left, and connections are accepted as fast as before",
		play: connectsAndResets,
	}, fault{
		row: 25, name: "a host refuses", quick: true, healthy: healthyMany,
		how: "100 clients of a port that nobody listens on, for 3 s (quick: 1 s)", required: "ECONNREFUSED; attempts bounded and spread",
		foreign: noClients, play: refuses,
	}, fault{
		row: 25, name: "a host does not answer", healthy: healthyMany, own: true,
		how: "nft drops what goes to the port that 100 clients dial", required: "the context is obeyed; at most 64 dial at once; closing does not wait for them",
		tools: []string{"nft"}, foreign: noClients, play: swallows,
	}, fault{
		row: 25, name: "a host resets at once", quick: true, healthy: healthyMany,
		how: "SO_LINGER 0 after accept, for 3 s (quick: 1 s), 100 clients", required: "ECONNRESET; attempts bounded and spread, although each succeeds",
		foreign: noClients, play: resetsAtOnce,
	}, fault{
		row: 26, name: "a host is killed and started again", quick: true, healthy: healthyMany,
		how: "kill -9 under 1000 clients that send (quick: 100), 3 s without it (quick: 1 s)", required: "attempts bounded and spread; from its first accept 95 % are back within 2 s, all within 5 s; each message is taken or reported, and what was sent meanwhile arrives in order",
		foreign: noClients, play: killsHost,
	}, fault{
		row: 27, name: "a host flaps", quick: true, healthy: healthyMany,
		how: "1 s of every 2 s it is there, four times, then killed (quick: half of that, twice), 100 clients", required: "attempts bounded, calls in order",
		foreign: noClients, play: flaps,
	}, fault{
		row: 29, name: "a host vanishes under data", healthy: healthyMany, own: true,
		how: "nft drops all from and to the host of 100 clients that send; TCP_USER_TIMEOUT 2 s, keep-alive 1 s", required: "closed for ETIMEDOUT within 5 s, and back when it is",
		tools: []string{"nft"}, flags: []string{"-usertimeout=" + vanishTimeout.String(), "-keepalive=" + vanishKeepAlive}, foreign: noClients, play: vanishes(true),
	}, fault{
		row: 29, name: "a host vanishes without a word", healthy: healthyMany, own: true,
		how: "the same with clients that send nothing", required: "the same, by the kernel's keep-alive",
		tools: []string{"nft"}, flags: []string{"-usertimeout=" + vanishTimeout.String(), "-keepalive=" + vanishKeepAlive}, foreign: noClients, play: vanishes(false),
	}, fault{
		row: 34, name: "close during write, twice, from everywhere", quick: true, healthy: healthyMany,
		how: "20 handlers queue 1 MiB and close, together with three goroutines, twice each", required: "the end is told once; what comes later fails with net.ErrClosed (weir: and what was queued arrives)",
		play: closesManyTimes,
	}, fault{
		row: 47, name: "memory ceiling", quick: true, healthy: healthyFew,
		how: memoryHow("more than fit"), required: "not killed, and new connections are served when the others have left (weir: accepting stops, idle connections are dropped, the fattest closed, each counted and logged); no message of healthy clients takes more than 2 s",
		tools: []string{cgroupTool}, wrap: limitedMemory, flags: []string{fmt.Sprint("-keep=", memoryKept)}, play: fillsMemory,
	}, fault{
		row: 47, name: "memory ceiling, with few idle clients", healthy: healthyFew,
		how: memoryHow(fmt.Sprint(memoryFew)), required: "not killed, and new connections are served when the others have left (weir: accepting stops, and no idle connection is dropped)",
		tools: []string{cgroupTool}, wrap: limitedMemory, flags: []string{fmt.Sprint("-keep=", memoryKept)}, play: floodsMemory,
	}, fault{
		row: 47, name: "memory ceiling, and nothing done about it", healthy: healthyFew,
		how: "as with more idle clients than fit, with WithMemoryLimit(0)", required: "as there",
		tools: []string{cgroupTool}, wrap: limitedMemory, flags: []string{fmt.Sprint("-keep=", memoryKept), "-careless"},
		foreign: "they have nothing to switch off", unpromised: switchedOff, play: fillsMemory,
	}, fault{
		row: 49, name: "shutdown under load", quick: true,
		how: "SIGTERM with 5000 connections that echo (quick: 1000)", required: "what handlers got is answered, every connection ends, exit within the deadline (weir: with FIN, and all that was read is answered or reported)",
		exempt: hasNoShutdown, play: shutsDownUnderLoad,
	}, fault{
		row: 49, name: "shutdown three times", quick: true,
		how: "the same with 1000 connections (quick: 200), and the shutdown called twice at once and again", required: "as above, and the other calls return (weir: with nil)",
		flags: []string{"-twice"}, exempt: hasNoShutdown, play: shutsDownTwice,
	}, fault{
		row: 49, name: "stopped by a handler", quick: true,
		how: "the same, but a handler stops the server: in the handler, or from a goroutine if that would wait", required: "as above",
		exempt: hasNoShutdown, play: stopsInHandler,
	}, fault{
		row: 49, name: "shutdown with peers that do not read", quick: true,
		how: "SIGTERM with a deadline of 500 ms and 100 peers that do not take what is queued", required: "every connection ends and the process exits, within 2 s (weir: within 100 ms of the deadline)",
		flags: []string{"-drain=500ms"}, exempt: hasNoShutdown, play: shutsDownStuck,
	}, fault{
		row: 49, name: "shutdown with handlers that block", quick: true,
		how: "SIGTERM with a deadline of 500 ms and 100 handlers that sleep for an hour", required: "every connection ends and the process exits, within 2 s (weir: within 100 ms of the deadline)",
		flags: []string{"-drain=500ms"}, exempt: hasNoShutdown, unpromised: onlyPool, play: shutsDownBlocked,
	}, fault{
		row: 51, name: "bad addresses and options", quick: true,
		how: "cmd/echo with a port in use, bad addresses, bad values", required: "one line that names field and value; exit code not 0",
		foreign: noProgram, play: startsBadly,
	}, fault{
		row: 57, name: "the logger blocks", quick: true, healthy: healthyMany,
		how: "its Log never returns; 10 handlers panic", required: "nobody notices",
		flags: []string{"-logger=block"}, foreign: noLogger, play: panics,
	}, fault{
		row: 57, name: "the logger panics", quick: true, healthy: healthyMany,
		how: "its Log panics; 10 handlers panic", required: "nobody notices",
		flags: []string{"-logger=panic"}, foreign: noLogger, play: panics,
	}, fault{
		row: 58, name: "control bytes in peer data", quick: true, healthy: healthyMany,
		how: "a handler panics with what a peer sent: escapes, CR, LF, NUL, C1", required: "quoted in the log",
		foreign: noPeerLog, play: forgesLog,
	})
}

// failingAccept is a variant of rows 2 and 3.
func failingAccept(row int, errno string, quick bool, required string) fault {
	return fault{
		row: row, name: errno + " at accept", quick: quick, healthy: healthyMany,
		how: fmt.Sprintf("strace: accept4 fails with %s, 50 connects", errno), required: required,
		tools: []string{"strace"}, wrap: wrapAccept(errno), play: acceptFails(errno),
	}
}

func onlyPool(k kind) string {
	if k.weir && !k.pool {
		return "handlers must not block in this mode"
	}
	return ""
}

func switchedOff(kind) string { return "it is switched off, to be compared with" }

func hasPool(k kind) string {
	if !k.pool {
		return "this mode has no pool"
	}
	return ""
}

func hasNoShutdown(k kind) string {
	if k.name == "std" {
		return "package net has no shutdown of connections"
	}
	return ""
}
