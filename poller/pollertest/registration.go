package pollertest

import (
	"syscall"
	"testing"

	"github.com/weirnet/weir/poller"
)

var registrationTests = []test{
	{"AddReportsWhatIsReady", addReportsWhatIsReady},
	{"ModifyReportsAgain", modifyReportsAgain},
	{"ModifyReplacesInterestAndToken", modifyReplacesInterestAndToken},
	{"NoInterestTellsFailuresOnly", noInterestTellsFailuresOnly},
	{"RemoveEndsEvents", removeEndsEvents},
	{"TokensAreTheCallers", tokensAreTheCallers},
	{"ErrorsAreTheKernels", errorsAreTheKernels},
	{"ReusedNumberTellsTheNewToken", reusedNumberTellsTheNewToken},
	{"ManyRegistrations", manyRegistrations},
}

func addReportsWhatIsReady(r *rig) {
	local, peer := r.pair()
	r.send(peer, "early")
	r.add(local, poller.Read|poller.Write, 7)
	r.expect(7, poller.Readable|poller.Writable)
	r.never(7, poller.ReadClosed|poller.HangUp|poller.Failed)
	r.settle()
}

func modifyReportsAgain(r *rig) {
	local, peer := r.pair()
	r.send(peer, "early")
	r.add(local, poller.Read, 7)
	r.expect(7, poller.Readable)
	r.settle()
	for range 3 {
		r.must(r.p.Modify(local, poller.Read, 7))
		r.expect(7, poller.Readable)
		r.settle()
	}
}

func modifyReplacesInterestAndToken(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	r.settle()
	r.must(r.p.Modify(local, poller.Write, 2))
	r.expect(2, poller.Writable)
	r.send(peer, "unwanted")
	r.poll()
	r.settle()
	r.must(r.p.Modify(local, poller.Read|poller.Write, 3))
	r.expect(3, poller.Readable|poller.Writable)
	if len(r.seen) != 1 {
		r.Errorf("tokens that are no more: %s", describe(r.seen))
	}
}

func noInterestTellsFailuresOnly(r *rig) {
	local, peer := r.rawPair()
	defer r.k.Close(local)
	r.add(local, 0, 5)
	r.send(peer, "unwanted")
	r.poll()
	r.poll()
	r.never(5, ^poller.Ready(0))
	r.must(r.k.Reset(peer))
	r.until("a hang-up or failure", func() bool {
		return r.seen[5]&(poller.HangUp|poller.Failed) != 0
	})
	r.never(5, poller.Readable|poller.Writable)
}

func removeEndsEvents(r *rig) {
	local, peer := r.pair()
	other, otherPeer := r.pair()
	r.add(local, poller.Read, 1)
	r.add(other, poller.Read, 2)
	r.must(r.p.Remove(local))
	r.send(peer, "unseen")
	r.send(otherPeer, "seen")
	r.expect(2, poller.Readable)
	r.settle()
	r.add(local, poller.Read, 3)
	r.expect(3, poller.Readable)
	if len(r.seen) != 1 {
		r.Errorf("more than the new token: %s", describe(r.seen))
	}
}

func tokensAreTheCallers(r *rig) {
	tokens := []poller.Token{
		0, 1, poller.Reserved - 1, poller.Reserved - 1<<8, 1 << 63, 1<<63 - 1,
		1 << 32, 1<<32 - 1, 1 << 31, 0xffffffff00000000, 0x0123456789abcdef,
	}
	for _, token := range tokens {
		local, _ := r.pair()
		r.add(local, poller.Write, token)
	}
	local, _ := r.pair()
	if err := r.p.Add(local, poller.Read, poller.Reserved); err != poller.ErrToken {
		r.Errorf("Add of the reserved token: %v, want ErrToken", err)
	}
	r.until("all tokens", func() bool { return len(r.seen) >= len(tokens) })
	for _, token := range tokens {
		if r.seen[token] != poller.Writable {
			r.Errorf("token %#x: told %q, want Writable", token, describeReady(r.seen[token]))
		}
	}
	// A Wake must be told apart from all of them.
	r.settle()
	r.must(r.p.Wake())
	if n := r.poll(); n != 0 {
		r.Errorf("a Wake came as an event: %s", describe(r.seen))
	}
}

func errorsAreTheKernels(r *rig) {
	local, _ := r.pair()
	r.mustBe("modify unknown", r.p.Modify(local, poller.Read, 1), syscall.ENOENT)
	r.mustBe("remove unknown", r.p.Remove(local), syscall.ENOENT)
	r.add(local, poller.Read, 1)
	r.mustBe("add twice", r.p.Add(local, poller.Read, 2), syscall.EEXIST)
	r.must(r.p.Remove(local))
	r.mustBe("remove twice", r.p.Remove(local), syscall.ENOENT)
	r.mustBe("add -1", r.p.Add(-1, poller.Read, 1), syscall.EBADF)

	gone, peer := r.rawPair()
	defer r.k.Close(peer)
	r.must(r.k.Close(gone))
	r.mustBe("add closed", r.p.Add(gone, poller.Read, 1), syscall.EBADF)
	if r.p.Modify(gone, poller.Read, 1) == nil {
		r.Error("modify closed: no error")
	}
	if r.p.Remove(gone) == nil {
		r.Error("remove closed: no error")
	}
}

// reusedNumberTellsTheNewToken closes descriptors with events pending, without
// Remove, and registers the next ones of the same numbers.
func reusedNumberTellsTheNewToken(r *rig) {
	const rounds = 50
	reused := 0
	last := -1
	for round := range poller.Token(rounds) {
		local, peer := r.rawPair()
		if local == last {
			reused++
		}
		last = local
		r.add(local, poller.Read|poller.Write, round)
		r.send(peer, "pending")
		if round%2 == 0 {
			r.expect(round, poller.Readable)
		}
		if round%3 == 0 {
			r.must(r.p.Remove(local))
		}
		r.must(r.k.Reset(local))
		r.must(r.k.Reset(peer))
		// What was pending may still be told here, but only under its own token.
		r.forget()
		next, nextPeer := r.rawPair()
		if next == local {
			reused++
		}
		r.add(next, poller.Read, round+1000)
		r.poll()
		r.never(round+1000, poller.Readable)
		r.never(round, ^poller.Ready(0))
		r.send(nextPeer, "new")
		r.expect(round+1000, poller.Readable)
		r.never(round, ^poller.Ready(0))
		r.never(round+1000, poller.HangUp|poller.Failed|poller.ReadClosed)
		r.must(r.k.Reset(next))
		r.must(r.k.Reset(nextPeer))
		r.forget()
	}
	if reused == 0 {
		r.Fatal("no descriptor number came twice: nothing has been tested")
	}
}

// manyRegistrations has far more descriptors ready than fit into one call.
func manyRegistrations(r *rig) {
	want := 10_000
	if raceEnabled || testing.Short() {
		want = 2_000
	}
	count := min(want, r.k.Capacity()) &^ 1
	if count < want {
		r.Logf("ATTENTION: %d registrations instead of %d: the limit of open descriptors is too low", count, want)
	}
	if count < 100 {
		r.Fatalf("room for %d descriptors only", count)
	}
	fds := make([]int, 0, count)
	defer func() {
		for _, fd := range fds {
			_ = r.k.Reset(fd)
		}
	}()
	for len(fds) < count {
		local, peer := r.rawPair()
		fds = append(fds, local, peer)
	}
	for i, fd := range fds {
		r.add(fd, poller.Read, poller.Token(i))
	}
	for round := range 2 {
		r.settle()
		for _, fd := range fds {
			r.send(fd, "x")
		}
		r.events = r.events[:16]
		r.until("all descriptors", func() bool { return len(r.seen) >= count })
		for token, ready := range r.seen {
			if ready&poller.Readable == 0 || int(token) >= count {
				r.Fatalf("round %d: token %d told %s", round, token, describeReady(ready))
			}
		}
	}
	r.settle()

	// One among many.
	r.send(fds[count/2], "y")
	peer := poller.Token(count/2) ^ 1
	r.expect(peer, poller.Readable)
	if len(r.seen) != 1 {
		r.Errorf("told more than the one: %s", describe(r.seen))
	}
}
