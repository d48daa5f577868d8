//go:build linux

package main

import (
	"fmt"
	"syscall"
	"time"
)

// Rows 25 to 29, and one of 12: the server's own clients, and hosts that misbehave. The
// healthy clients are served by the same engine meanwhile.

// noClients is why these are for weir alone.
const noClients = "has no clients that come back by themselves"

// dialsMost is how many attempts of clients an engine has under way to one address.
const dialsMost = 64

// partMore is for how much longer than it may take the end of a swarm is waited for, to
// tell a session that ends by its linger time-out from one that does not end.
const partMore = 10 * time.Second

// tell has the server obey, and returns its state; it notes a failure if there is none.
func (s *scene) tell(format string, args ...any) state {
	return s.tellWithin(answerWithin, fmt.Sprintf(format, args...))
}

// tellWithin is tell for a command that may take long.
func (s *scene) tellWithin(patience time.Duration, command string) state {
	var st state
	if err := s.server.askWithin(patience, command, &st); err != nil {
		s.fail("the server at %q: %v", command, err)
	}
	if st.Swarm == nil {
		st.Swarm = &swarmState{}
	}
	return st
}

// awaitSwarm waits until its state satisfies ok, for at most a time, and returns the last.
func (s *scene) awaitSwarm(most time.Duration, ok func(*swarmState) bool) *swarmState {
	for until := time.Now().Add(most); ; time.Sleep(settleStep / 10) {
		st := s.tell("state").Swarm
		if ok(st) || time.Now().After(until) || !s.server.alive() {
			return st
		}
	}
}

// connects wants n clients of an address to be connected soon.
func (s *scene) connects(n int, address string) bool {
	s.tell("clients %d %s", n, address)
	st := s.awaitSwarm(settleMax, func(st *swarmState) bool { return st.Connected == n })
	s.require(st.Connected == n, "%d of %d clients connected", st.Connected, n)
	return st.Connected == n
}

// bounded wants no more attempts since the mark than the back-off allows, says how they
// were spread, and wants that, too, if all began at the mark.
func (s *scene) bounded(st *swarmState, together bool) {
	total, most := 0, 0
	for i, n := range st.Tries {
		total += n
		if i >= 10 && together { // at first they are close together
			most = max(most, n)
		}
	}
	limit := st.Clients * (6 + int(3*st.Since/time.Second)) // two a second in the long run, more at first
	s.see("%d attempts of %d clients in %v, in tenths of a second %v", total, st.Clients, round(st.Since), st.Tries)
	s.require(total <= limit, "%d attempts, at most %d are allowed", total, limit)
	s.require(total >= st.Clients, "only %d attempts", total)
	s.require(most <= st.Clients/2, "%d of %d clients tried within the same tenth of a second", most, st.Clients)
}

// ordered wants the calls to have come in order.
func (s *scene) ordered(st *swarmState) {
	s.require(st.Mistakes == 0, "%d calls out of order: %s", st.Mistakes, st.Mistake)
}

// parts ends the swarm and looks whether each message is accounted for. It returns the
// last state.
func (s *scene) parts() *swarmState {
	s.tell("hush")
	st := s.awaitSwarm(settleMax, func(st *swarmState) bool { return st.Connected == 0 || st.Waits == 0 })
	s.require(st.Connected == 0 || st.Waits == 0, "%d bytes of %d clients still wait to be sent", st.Waits, st.Connected)
	began := time.Now()
	st = s.tellWithin(answerWithin+partMore, "part").Swarm
	took := time.Since(began)
	s.require(took <= answerWithin, "closing the clients took %v", round(took))
	s.ordered(st)
	waited := st.Sent - st.Had
	s.see("%d messages: sessions had %d, %d of which were reported unsent; %d never had one, and were reported",
		st.Sent, st.Had, st.Unsent-waited, waited)
	s.require(waited >= 0 && st.Unsent >= waited, "%d messages, of which sessions had %d, and %d were reported", st.Sent, st.Had, st.Unsent)
	completions := st.Sent / 3
	s.require(st.Taken+st.Failed <= completions && st.Taken+st.Failed > completions-int64(st.Clients),
		"%d completions were called for about %d messages", st.Taken+st.Failed, completions)
	return st
}

// connectsOnce has one client connect within a time and wants it to end so.
func (s *scene) connectsOnce(address string, patience time.Duration, want string) {
	st := s.tell("connect %d %s", patience.Milliseconds(), address).Swarm
	s.see("Connect: %s after %v", st.Outcome, round(st.Took))
	s.require(st.Outcome == want, "Connect: %s, want %s", st.Outcome, want)
	s.hurry(st.Took, patience+s.allow(100*time.Millisecond), "Connect")
}

// all tells whether so many clients have an error, and no other.
func (s *scene) all(errors map[string]int, n int, want string) {
	s.see("errors: %v", errors)
	s.require(errors[want] == n && len(errors) == 1, "errors: %v, want %d of %s", errors, n, want)
}

const swarmSize = 100 // clients of most rows

// refuses: nobody listens.
func refuses(s *scene) {
	address := hostAddress()
	s.connectsOnce(address, time.Second, "ECONNREFUSED")
	s.tell("clients %d %s", swarmSize, address)
	time.Sleep(pick(s.options, 3*time.Second, time.Second))
	st := s.tell("state").Swarm
	s.all(st.Errors, swarmSize, "ECONNREFUSED")
	s.bounded(st, true)
	s.parts()
}

// swallows: the host's network loses everything.
func swallows(s *scene) {
	address := hostAddress()
	if err := drop(address); err != nil {
		s.Cannot = err.Error()
		return
	}
	s.connectsOnce(address, 500*time.Millisecond, "DeadlineExceeded")
	before := descriptorsOf(s.hello.PID)
	s.tell("clients %d %s", swarmSize, address)
	time.Sleep(pick(s.options, time.Second, 500*time.Millisecond))
	used := descriptorsOf(s.hello.PID) - before
	s.see("%d clients dial with %d descriptors", swarmSize, used)
	s.require(used > 0 && used <= dialsMost, "%d descriptors are used, at most %d are allowed", used, dialsMost)
	began := time.Now()
	s.parts() // while they dial
	s.hurry(time.Since(began), s.allow(time.Second), "closing clients that dial")
	if err := undrop(); err != nil {
		s.fail("%v", err)
	}
}

// resetsAtOnce: the host accepts, and resets.
func resetsAtOnce(s *scene) {
	address := hostAddress()
	if h, _ := s.startHost(address, hostResets); h == nil {
		return
	}
	s.tell("clients %d %s", swarmSize, address)
	time.Sleep(pick(s.options, 3*time.Second, time.Second))
	st := s.tell("state").Swarm
	s.see("%d sessions ended: %v", st.Disconnects, st.Reasons)
	s.require(st.Disconnects >= swarmSize, "%d sessions ended", st.Disconnects)
	resets := st.Reasons["peer_reset ECONNRESET"] + st.Reasons["peer_reset EPIPE"] // where a write came first
	s.require(resets == st.Disconnects, "the reasons are %v", st.Reasons)
	s.bounded(st, true) // although each attempt succeeds
	s.parts()
}

// What is allowed from a host's first accept on.
const (
	backP95 = 2 * time.Second
	backAll = 5 * time.Second
)

// killsHost: kill -9, and a new one later.
func killsHost(s *scene) {
	clients := pick(s.options, 1000, 100)
	address := hostAddress()
	h, _ := s.startHost(address)
	if h == nil || !s.connects(clients, address) {
		return
	}
	time.Sleep(300 * time.Millisecond) // they send
	h.kill()
	h.awaitEnd(stopWithin)
	s.tell("mark")
	time.Sleep(pick(s.options, 3*time.Second, time.Second))
	s.bounded(s.tell("state").Swarm, true)
	s.tell("mark")
	if h, _ = s.startHost(address); h == nil {
		return
	}
	st := s.awaitSwarm(s.allow(backAll)+settleMax, func(st *swarmState) bool { return st.Connected == clients })
	s.require(st.Connected == clients, "%d of %d are back", st.Connected, clients)
	var seen hostReport
	if err := h.ask("report", &seen); err != nil {
		s.fail("host: %v", err)
		return
	}
	st = s.tell("came %d", seen.First).Swarm
	s.see("from the host's first accept, half are back after %v, 95 %% after %v, all after %v", round(st.Half), round(st.P95), round(st.Last))
	s.hurry(st.P95, s.allow(backP95), "the return of 95 % of the clients")
	s.hurry(st.Last, s.allow(backAll), "the return of all clients")
	st = s.parts()
	s.require(st.Connects == 2*clients && st.Disconnects == 2*clients, "%d connects, %d disconnects", st.Connects, st.Disconnects)
	if err := h.ask("report", &seen); err != nil {
		s.fail("host: %v", err)
		return
	}
	s.see("the new host got messages of %d clients, with %d gaps", seen.Clients, seen.Gaps)
	s.require(seen.Clients == clients && seen.Gaps == 0, "the new host got messages of %d clients, with %d gaps", seen.Clients, seen.Gaps)
	s.require(seen.Firsts+seen.Messages == st.Sent, "the old host's sessions had %d, the new host got %d, of %d", seen.Firsts, seen.Messages, st.Sent)
}

// flaps: a host that is there for a second of each two.
func flaps(s *scene) {
	rounds := pick(s.options, 4, 2)
	half := pick(s.options, time.Second, 500*time.Millisecond)
	address := hostAddress()
	s.tell("clients %d %s", swarmSize, address)
	s.tell("mark")
	for range rounds {
		h, _ := s.startHost(address)
		if h == nil {
			return
		}
		time.Sleep(half)
		h.kill()
		h.awaitEnd(stopWithin)
		time.Sleep(half)
	}
	st := s.tell("state").Swarm
	s.see("%d sessions began, %d ended", st.Connects, st.Disconnects)
	s.require(st.Connects == st.Disconnects && st.Connects >= swarmSize, "%d sessions began, %d ended", st.Connects, st.Disconnects)
	s.bounded(st, false)
	s.parts()
}

// What row 29 sets.
const (
	vanishKeepAlive = "1s"
	vanishTimeout   = 2 * time.Second
	vanishSlack     = 2 * time.Second // the kernel counts in back-offs of its own
)

// vanishes: the host's network loses everything while clients are connected, and send, or
// do not; then it is back.
func vanishes(sends bool) func(*scene) {
	return func(s *scene) {
		address := hostAddress()
		h, _ := s.startHost(address)
		if h == nil || !s.connects(swarmSize, address) {
			return
		}
		time.Sleep(300 * time.Millisecond)
		if !sends {
			s.tell("hush")
			s.awaitSwarm(settleMax, func(st *swarmState) bool { return st.Waits == 0 })
			time.Sleep(300 * time.Millisecond) // until all is acknowledged
		}
		if err := drop(address); err != nil {
			s.Cannot = err.Error()
			return
		}
		began := time.Now()
		most := vanishTimeout + time.Second + vanishSlack // a second until the first probe
		st := s.awaitSwarm(s.allow(most)+settleMax, func(st *swarmState) bool { return st.Disconnects == swarmSize })
		s.see("%d of %d sessions ended, the last after %v: %v", st.Disconnects, swarmSize, round(time.Since(began)), st.Reasons)
		s.require(st.Disconnects == swarmSize, "%d of %d ended", st.Disconnects, swarmSize)
		s.require(st.Reasons["io_error ETIMEDOUT"] == swarmSize, "the reasons are %v", st.Reasons)
		s.hurry(time.Since(began), s.allow(most), "noticing that the host has vanished")
		if err := undrop(); err != nil {
			s.fail("%v", err)
		}
		st = s.awaitSwarm(4*settleMax, func(st *swarmState) bool { return st.Connected == swarmSize })
		s.see("%d are back", st.Connected)
		s.require(st.Connected == swarmSize, "%d are back", st.Connected)
		s.parts()
	}
}

// stopsOwnClient stops the process of clients that are weir's, too. They send as fast as
// they can and read slowly, so that data is under way everywhere.
func stopsOwnClient(s *scene) {
	const clients, underWay = 10, 10 << 20
	other, err := s.child(nil, serveRole, s.kind.name, "-dir="+s.dir, "-readrate=262144")
	if err != nil {
		s.fail("%v", err)
		return
	}
	var h hello
	if err := other.read(&h, startWithin); err != nil || h.Error != "" {
		s.fail("the clients' process: %v %s", err, h.Error)
		return
	}
	ask := func(command string) *swarmState {
		var st state
		if err := other.ask(command, &st); err != nil || st.Swarm == nil {
			s.fail("the clients' process at %q: %v", command, err)
			return &swarmState{}
		}
		return st.Swarm
	}
	ask(fmt.Sprintf("pump %d %s", clients, s.hello.Address))
	if !s.until(settleMax, func() bool { st := ask("state"); return st.Connected == clients && st.Waits > underWay }) {
		s.fail("the clients are not busy")
		return
	}
	if err := syscall.Kill(h.PID, syscall.SIGSTOP); err != nil {
		s.fail("kill -STOP: %v", err)
		return
	}
	s.watchPeers(clients)
	if !s.resume(h.PID) {
		return
	}
	var st *swarmState
	back := s.until(settleMax, func() bool {
		st = ask("state")
		return st.Disconnects >= clients && st.Connected == clients
	})
	s.see("when they went on %d ended, %v, and %d are back", st.Disconnects, st.Reasons, st.Connected)
	s.require(back, "%d of %d ended, and %d are back", st.Disconnects, clients, st.Connected)
	s.ordered(st)
	ask("hush")
	ask("part")
}
