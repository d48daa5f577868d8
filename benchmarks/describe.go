package main

import (
	"fmt"
	"strings"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// What tests, cells and contenders are called where people read of them.

// testText is what a reader should know of a test.
type testText struct {
	title      string
	short      string // for labels
	operation  string // one of what is counted
	operations string // several
	does       string
	says       string
	saysNot    string
}

var testTexts = map[string]testText{
	echoTest: {
		title: "Echo, closed loop", short: "echo", operation: "round trip", operations: "round trips",
		does: "Each connection keeps a fixed number of messages in flight, the depth, and sends the next when one has come back. Every byte that comes back is compared with what was sent.",
		says: "How many small messages a second a server and the load together get through this machine, and what one costs the server. The ratio to the floor is what the engine adds to the bare work.",
		saysNot: "What a server with a network card does: load and server share the machine, and the kernel does most of the work. A closed loop sends less while the server stands still, so its percentiles leave out what would have waited then; " +
			"at greater depth they are mostly waiting for one's turn, connections × depth ÷ round trips/s.",
	},
	openTest: {
		title: "Echo, open loop", short: "open", operation: "round trip", operations: "round trips",
		does:    "Messages are sent when they are due, at even intervals over all connections, whether others have come back or not. A latency counts from the moment the message was due. A rate in per cent is of what the fastest Go rival did with as many connections at depth 1, in this run.",
		says:    "What a user waits for at a given load, and how bad the worst moments are: a server that stands still for 50 ms is charged for all that became due meanwhile, and cannot hide it.",
		saysNot: "How much more the server could do. The load itself runs on the same machine; “late” is what it missed the moment by, and is part of every latency.",
	},
	bulkTest: {
		title: "Bulk", short: "bulk", operation: "round trip", operations: "round trips",
		does:    "As the closed loop, with messages of 64 KiB to 1 MiB, so that both socket buffers fill up and every write is cut short.",
		says:    "How well large transfers go through: short writes, copies, buffers that grow.",
		saysNot: "What one direction alone would do: everything comes back. On loopback the kernel's copying is most of it.",
	},
	churnTest: {
		title: "Churn", short: "churn", operation: "life", operations: "lives",
		does:    "Connections come and go: connect, send one message, get it back, send FIN, get the server's, close. So many are under way at any moment.",
		says:    "What accepting, setting up and tearing down a connection costs, the end included: a server that puts that off does not look faster for it.",
		saysNot: "What TLS or a slow network would add to each connection.",
	},
	fanoutTest: {
		title: "Fan-out", short: "fan", operation: "delivery", operations: "deliveries",
		does:    "One connection publishes, and the server sends each message to all. A message is finished when everybody has it; so many are unfinished at any moment. Every byte of every delivery is compared.",
		says:    "How many messages a second reach their readers, how long the last one waits, and what a delivery costs the server.",
		saysNot: "What many publishers or filters would cost, or how slow readers are dealt with.",
	},
	paceTest: {
		title: "Fan-out at a fixed rate", short: "pace", operation: "delivery", operations: "deliveries",
		does:    "The same, but messages are due at even intervals. A latency counts from the moment a message was due until a subscriber has it.",
		says:    "How long subscribers wait at a load that every contender can carry.",
		saysNot: "How much more the server could do.",
	},
	idleTest: {
		title: "Idle memory", short: "idle", operation: "connection", operations: "connections",
		does:    "Connections echo one message and then say nothing. Memory is read at several numbers of them; what one more costs is the slope. “Forced” is after a garbage collection that gave free memory back.",
		says:    "What it costs the server to hold connections that have nothing to say.",
		saysNot: "The kernel's own memory for sockets, which is in none of these figures, or what connections need while they are busy.",
	},
}

func textOf(test string) testText {
	if t, ok := testTexts[test]; ok {
		return t
	}
	return testText{title: test, short: test, operation: "operation", operations: "operations"}
}

// describeCell puts a cell into words.
func describeCell(test, name string) string {
	switch test {
	case churnTest:
		if c, err := parseChurnCell(name); err == nil {
			return fmt.Sprintf("%s at once, one message of %s each", counted(c.AtOnce, "connection"), sizeText(c.Size))
		}
	case fanoutTest, paceTest:
		if c, err := parseFanoutCell(name); err == nil {
			text := fmt.Sprintf("%s, messages of %s, ", counted(c.Subscribers, "subscriber"), sizeText(c.Size))
			if c.Rate > 0 {
				return text + fmt.Sprintf("%d a second", c.Rate)
			}
			return text + fmt.Sprintf("%d unfinished", c.InFlight)
		}
	default:
		if c, err := parseCell(name); err == nil {
			text := fmt.Sprintf("%s, messages of %s, ", counted(c.Connections, "connection"), sizeText(c.Size))
			switch {
			case c.Share > 0:
				return text + fmt.Sprintf("%d %% of the fastest Go rival's rate", c.Share)
			case c.Rate > 0:
				return text + fmt.Sprintf("%d a second", c.Rate)
			default:
				return text + fmt.Sprintf("%d in flight on each", c.Depth)
			}
		}
	}
	return name
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func sizeText(bytes int) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	default:
		return counted(bytes, "byte")
	}
}

// inFanout says whether the names of a test are those of hubs.
func inFanout(test string) bool { return test == fanoutTest || test == paceTest }

// commitDigits are as many as fit beside a chart.
const commitDigits = 7

// labelOf is a contender's name for readers. Echo servers and hubs of weir have other
// names in the results: there, what has no mode in its name is the one that came first.
func labelOf(test, contender string) string {
	name, repeated := strings.CutSuffix(contender, again)
	name, at, _ := strings.Cut(name, "@") // of another commit
	switch {
	case name == "weir" && inFanout(test):
		name = "weir pool"
	case name == "weir":
		name = "weir inline"
	case isOurs(name):
		name = strings.Replace(name, "-", " ", 1)
	}
	if at != "" {
		name += " @" + at[:min(len(at), commitDigits)]
	}
	if repeated {
		name += again
	}
	return name
}

// kindOf decides a contender's colour: weir's default mode stands out most.
func kindOf(test, contender string) page.Kind {
	switch {
	case strings.HasSuffix(contender, again):
		return page.Noise
	case isFloor(contender):
		return page.Floor
	case strings.Contains(labelOf(test, contender), "weir pool"):
		return page.Ours
	case isOurs(contender):
		return page.Ours2
	default:
		return page.Rival
	}
}
