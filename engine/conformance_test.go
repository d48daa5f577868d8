package engine_test

import (
	"net"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// The conformance suite: what is promised to users, checked over real sockets,
// once for each way to run an engine. A scenario is a function of a setting; the
// files conformance_*_test.go hold them by subject.

// setting is a way to run an engine.
type setting struct {
	name    string
	network string
	loops   int
	opts    []engine.Option
}

// serve starts an engine of this setting; more opts win over its own.
func (s setting) serve(t testing.TB, p *probe, more ...engine.Option) *server {
	t.Helper()
	return serve(t, s.network, p, append(s.opts[:len(s.opts):len(s.opts)], more...)...)
}

// launch is serve without a listener.
func (s setting) launch(t testing.TB, more ...engine.Option) *server {
	t.Helper()
	return launch(t, append(s.opts[:len(s.opts):len(s.opts)], more...)...)
}

func settings() (all []setting) {
	modes := []struct {
		name  string
		loops int
		opts  []engine.Option
	}{
		{"pool1", 1, []engine.Option{engine.WithMode(engine.Pool), engine.WithLoops(1)}},
		{"pool2", 2, []engine.Option{engine.WithMode(engine.Pool), engine.WithLoops(2)}},
		{"inline1", 1, []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(1)}},
		{"inline2", 2, []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(2)}},
		{"inline4", 4, []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(4)}},
		{"single", 1, []engine.Option{engine.WithMode(engine.Single)}},
	}
	for _, m := range modes {
		for _, network := range []string{"tcp4", "tcp6", "unix"} {
			all = append(all, setting{m.name + "/" + network, network, m.loops, m.opts})
		}
	}
	variant := func(name string, more ...engine.Option) {
		opts := append([]engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(2)}, more...)
		all = append(all, setting{"inline2/tcp4/" + name, "tcp4", 2, opts})
	}
	variant("least-sessions", engine.WithPlacement(engine.LeastSessions))
	variant("source-hash", engine.WithPlacement(engine.SourceHash))
	variant("reuse-port", engine.WithReusePort())
	variant("spin", engine.WithSpin(50*time.Microsecond))
	variant("yield", engine.WithYield(200*time.Microsecond))
	variant("small reads", engine.WithReadSize(4<<10))
	variant("large reads", engine.WithReadSize(256<<10))
	return all
}

var scenarios = []struct {
	name string
	run  func(*testing.T, setting)
}{
	{"echo of single bytes", echoSingleBytes},
	{"echo over many connections", echoManyConnections},
	{"echo of large messages", echoLargeMessages},
	{"half-close is answered in full", halfCloseAnswered},

	{"addresses are known from OnOpen on", addressesKnown},
	{"every reason to close", everyReason},
	{"Close in a handler", closeInHandler},
	{"CloseWrite goes on reading", closeWriteReads},
	{"Close writes what is queued", closeWritesQueue},
	{"close is idempotent from anywhere", closeFromAnywhere},

	{"senders keep their order", sendersKeepOrder},
	{"a group sends to all its members", groupSends},
	{"group members come and go", groupChurn},
	{"a group's snapshot and what follows", groupSnapshot},
	{"a group sends to all but one", groupExcept},
	{"a group ends with its last member", groupEnds},
	{"users have sessions", usersHaveSessions},
	{"a slow member, close", slowMember(session.CloseSlow)},
	{"a slow member, drop-oldest", slowMember(session.DropOldest)},
	{"a slow member, drop-newest", slowMember(session.DropNewest)},
	{"a slow member, conflate", slowMember(session.Conflate)},
	{"close of one who is behind a group", closeWhileBehind},
	{"a backplane joins engines", backplaneJoinsEngines},
	{"Broadcast and SendTo", broadcasts},
	{"Broadcast to one that does not read", broadcastToSlow},
	{"SendOwned releases once", sendOwnedReleases},
	{"SendAndClose delivers", sendAndCloseDelivers},
	{"scattered segments arrive in order", scatteredSegments},
	{"ErrBufferFull above the cap", bufferFull},

	{"PauseRead and ResumeRead", pauseAndResume},
	{"Post runs on the loop", postRunsOnLoop},
	{"handlers are swapped", handlersSwapped},
	{"half-open sessions", halfOpenSessions},
	{"frames are kept", framesKept},
	{"frames are echoed", framesEchoed},
	{"a large frame", largeFrame},
	{"bad frames", badFrames},
	{"lines, then frames", upgrade},
	{"a frame that is not finished in time", frameTimeout},
	{"frames to one that does not read", framesToSlowReader},

	{"a dead id finds nobody", deadIDFindsNobody},
	{"Kick and Count", kickByID},
	{"no more sessions than allowed", maxSessions},
	{"Listener.Close leaves sessions alone", listenerCloses},
	{"Listener.Done when the engine stops", listenerEnds},
	{"Adopt", adoptListener},
	{"socket options", socketOptions},
	{"a duplicate descriptor lives on", duplicateLivesOn},

	{"Dial", dials},
	{"Dial does not wait for handlers", dialsWithoutHandlers},
	{"AdoptConn", adoptsConns},
	{"Dial is not admission's business", dialsAreNotAdmitted},
	{"errors of Dial", dialErrors},

	{"heartbeats of both ends", heartbeats},
	{"a heartbeat without an answer", silentPeer},

	{"a client comes back", clientComesBack},
	{"a client's queue", clientQueues},
	{"a client refuses", clientRefuses},
	{"Connect", clientConnects},
	{"Connect in between", clientConnectsInBetween},
	{"a client is closed", clientCloses},
	{"a client's accounts", clientAccounts},
	{"a client keeps its handler", clientKeepsHandler},
	{"a client's functions panic", clientSurvives},
	{"clients end with their engine", clientEndsWithEngine},

	{"Shutdown drains", shutdownDrains},
	{"Shutdown spreads over time", drainSpreads},
	{"Shutdown aborts what has not had its turn", drainSpreadExpires},
	{"Shutdown aborts when the time is up", shutdownAborts},
	{"Serve drains when its context ends", serveDrains},
	{"handlers cannot wait for themselves", handlersCannotWait},
	{"Shutdown drains what groups owe", shutdownWithLaggards},
	{"Stop from a handler", stopFromHandler},
	{"Stop behind a message to a group", stopBehindPublish},
	{"Close aborts", closeAborts},
}

func TestConformance(t *testing.T) {
	sixth := hasIPv6()
	if !sixth {
		t.Log("this host has no IPv6: settings with tcp6 are left out")
	}
	for _, s := range settings() {
		if s.network == "tcp6" && !sixth {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			for _, c := range scenarios {
				t.Run(c.name, func(t *testing.T) { c.run(t, s) })
			}
		})
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
