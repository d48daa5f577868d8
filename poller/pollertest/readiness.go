package pollertest

import (
	"errors"

	"github.com/weirnet/weir/poller"
)

var readinessTests = []test{
	{"DataIsReadable", dataIsReadable},
	{"RoomIsWritable", roomIsWritable},
	{"HalfCloseOfPeer", halfCloseOfPeer},
	{"DataThenHalfClose", dataThenHalfClose},
	{"HalfCloseOfLocal", halfCloseOfLocal},
	{"BothClosedHangUp", bothClosedHangUp},
	{"CloseOfPeer", closeOfPeer},
	{"ResetFails", resetFails},
	{"UrgentData", urgentData},
}

func dataIsReadable(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	r.settle()
	// Whether or not it was read: new data is a change.
	for round := range 6 {
		r.send(peer, "data")
		r.expect(1, poller.Readable)
		r.never(1, poller.Writable|poller.ReadClosed|poller.HangUp|poller.Failed)
		r.settle()
		if round%2 == 0 {
			if n, _, err := r.recv(local); n == 0 || err != nil {
				r.Fatalf("recv: %d, %v", n, err)
			}
		}
	}
}

func roomIsWritable(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Write, 1)
	r.add(peer, poller.Read, 2) // ends the Parks in which local is still full
	r.expect(1, poller.Writable)
	r.settle()
	block := make([]byte, 64<<10)
	for round := range 3 {
		sent := 0
		for {
			n, err := r.k.Send(local, block)
			if err != nil {
				if !isAgain(err) {
					r.Fatalf("send: %v", err)
				}
				break
			}
			if sent += n; sent > 1<<30 {
				r.Fatal("a socket without limit")
			}
		}
		r.forget()
		got := 0
		r.until("room to write", func() bool {
			n, _, err := r.recv(peer)
			r.must(err)
			got += n
			return r.seen[1]&poller.Writable != 0
		})
		r.until("the rest", func() bool {
			n, _, err := r.recv(peer)
			r.must(err)
			got += n
			return got >= sent
		})
		if got != sent {
			r.Fatalf("round %d: %d bytes of %d", round, got, sent)
		}
		r.never(1, poller.Readable|poller.HangUp|poller.Failed)
		r.settle()
	}
}

func halfCloseOfPeer(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read|poller.Write, 1)
	r.expect(1, poller.Writable)
	r.settle()
	r.must(r.k.CloseWrite(peer))
	r.expect(1, poller.ReadClosed)
	r.never(1, poller.HangUp|poller.Failed)
	r.settle()
	if n, end, err := r.recv(local); n != 0 || !end || err != nil {
		r.Errorf("recv at the end: %d bytes, end %v, error %v", n, end, err)
	}
	// The other direction lives.
	r.add(peer, poller.Read, 2)
	r.send(local, "still here")
	r.expect(2, poller.Readable)
}

// dataThenHalfClose has the end reported together with what came before it: a
// reader that trusts a short read would miss it.
func dataThenHalfClose(r *rig) {
	local, peer := r.pair()
	r.send(peer, "last words")
	r.must(r.k.CloseWrite(peer))
	r.add(local, poller.Read, 1)
	r.expect(1, poller.Readable|poller.ReadClosed)
	r.settle()
	if n, end, err := r.recv(local); n != len("last words") || !end || err != nil {
		r.Errorf("recv: %d bytes, end %v, error %v", n, end, err)
	}
}

func halfCloseOfLocal(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read|poller.Write, 1)
	r.expect(1, poller.Writable)
	r.settle()
	r.must(r.k.CloseWrite(local))
	r.send(peer, "answer")
	r.expect(1, poller.Readable)
	r.never(1, poller.ReadClosed|poller.HangUp|poller.Failed)
}

func bothClosedHangUp(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read|poller.Write, 1)
	r.expect(1, poller.Writable)
	r.settle()
	r.must(r.k.CloseWrite(peer))
	r.expect(1, poller.ReadClosed)
	r.must(r.k.CloseWrite(local))
	r.expect(1, poller.HangUp)
}

func closeOfPeer(r *rig) {
	local, peer := r.rawPair()
	defer r.k.Close(local)
	r.add(local, poller.Read, 1)
	r.settle()
	r.must(r.k.Close(peer))
	r.expect(1, poller.Readable|poller.ReadClosed)
	r.settle()
	if _, end, err := r.recv(local); !end || err != nil {
		r.Errorf("recv after close: end %v, error %v", end, err)
	}
}

func resetFails(r *rig) {
	for token, interest := range []poller.Interest{poller.Read, poller.Write, poller.Read | poller.Write} {
		local, peer := r.rawPair()
		token := poller.Token(token)
		r.add(local, interest, token)
		r.settle()
		r.must(r.k.Reset(peer))
		r.until("a failure", func() bool {
			return r.seen[token]&(poller.Failed|poller.HangUp) != 0
		})
		r.settle()
		if n, end, err := r.recv(local); err == nil {
			r.Errorf("recv after reset: %d bytes, end %v, no error", n, end)
		}
		r.must(r.k.Close(local))
	}
}

func urgentData(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	r.settle()
	r.send(peer, "before")
	err := r.k.SendUrgent(peer, '!')
	if errors.Is(err, errors.ErrUnsupported) {
		r.Log("ATTENTION: this kernel cannot send urgent data; that it is told has not been tested")
		return
	}
	r.must(err)
	r.send(peer, "after")
	r.expect(1, poller.Readable|poller.Urgent)
	r.never(1, poller.ReadClosed|poller.HangUp|poller.Failed)
	// The reader who reads on gets what follows, although a read ends at the mark.
	want := len("before") + len("after")
	got := 0
	r.until("what follows the mark", func() bool {
		n, _, err := r.recv(local)
		r.must(err)
		got += n
		return got >= want
	})
}
