package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Groups: who is in one gets everything, in order, and nothing of before and after.

// groupMessage is the number-th message of a publisher, of 16 bytes.
func groupMessage(publisher, number int) []byte {
	m := binary.BigEndian.AppendUint64(nil, uint64(publisher))
	return binary.BigEndian.AppendUint64(m, uint64(number))
}

// groupSends: several goroutines publish, and each member gets the messages of each in
// order.
func groupSends(t *testing.T, s setting) {
	const members, publishers, messages = 10, 4, 250
	v := s.serve(t, newProbe())
	g := v.engine.Group("all")
	var clients []stream
	for range members {
		c, held := v.open()
		must(t, g.Join(held))
		clients = append(clients, c)
	}
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := range messages {
				check(t, g.Send(groupMessage(p, n)))
			}
		})
	}
	for _, c := range clients {
		all.Go(func() { check(t, readGroup(c, publishers, messages)) })
	}
	all.Wait()
	st := g.Stats()
	if want := uint64(publishers * messages); st.Published != want || st.Members != members {
		t.Errorf("published %d to %d members, want %d to %d", st.Published, st.Members, want, members)
	}
	until(t, "all delivered", func() bool { return g.Stats().Delivered == members*publishers*messages })
}

// readGroup reads what publishers send, and wants all of it in order for each.
func readGroup(c io.Reader, publishers, messages int) error {
	next := make([]int, publishers)
	var m [16]byte
	for range publishers * messages {
		if _, err := io.ReadFull(c, m[:]); err != nil {
			return fmt.Errorf("after %v: %w", next, err)
		}
		p, n := int(binary.BigEndian.Uint64(m[:])), int(binary.BigEndian.Uint64(m[8:]))
		if p >= publishers || n != next[p] {
			return fmt.Errorf("message %d of publisher %d, after %v", n, p, next)
		}
		next[p]++
	}
	return nil
}

// Marks of the tests' own, where a publisher's number would be.
const (
	markStay = 1<<30 + iota // a stay begins
	markEnd                 // nothing comes any more
)

// readStays reads what a member gets who comes and goes: within each stay, which begins
// with a mark, the messages of each publisher have no gap.
func readStays(c io.Reader, publishers int) (messages int, err error) {
	next := make([]int, publishers)
	inStay := make([]bool, publishers)
	var m [16]byte
	for {
		if _, err := io.ReadFull(c, m[:]); err != nil {
			return messages, err
		}
		p, n := int(binary.BigEndian.Uint64(m[:])), int(binary.BigEndian.Uint64(m[8:]))
		switch {
		case p == markEnd:
			return messages, nil
		case p == markStay:
			clear(inStay)
			continue
		case p >= publishers || n < next[p] || inStay[p] && n != next[p]:
			return messages, fmt.Errorf("message %d of publisher %d, want %d", n, p, next[p])
		}
		messages++
		next[p], inStay[p] = n+1, true
	}
}

// groupChurn: members come and go while many publish, and miss nothing while they stay.
func groupChurn(t *testing.T, s setting) {
	const roaming = 4
	publishers, messages := amount(100, 100, 20), amount(200, 20, 10)
	v := s.serve(t, newProbe())
	g := v.engine.Group("all")
	var members []*session.Session
	var readers, publishing sync.WaitGroup
	for range roaming {
		c, held := v.open()
		members = append(members, held)
		readers.Go(func() {
			_, err := readStays(c, publishers)
			check(t, err)
		})
	}
	stay := func(held *session.Session) error {
		return g.JoinAfter(held, func() error { return held.Send(groupMessage(markStay, 0)) })
	}
	for p := range publishers {
		publishing.Go(func() {
			for n := range messages {
				check(t, g.PublishContext(t.Context(), session.Notice{Bytes: groupMessage(p, n)}))
			}
		})
	}
	var stop atomic.Bool
	var roamers sync.WaitGroup
	for _, held := range members {
		roamers.Go(func() {
			for !stop.Load() {
				check(t, stay(held))
				runtime.Gosched()
				check(t, g.Leave(held))
			}
			check(t, stay(held))
		})
	}
	publishing.Wait()
	stop.Store(true)
	roamers.Wait()
	must(t, g.Send(groupMessage(markEnd, 0)))
	readers.Wait()
	st := v.engine.Stats().GroupSent
	if st.Dropped != 0 || st.Expired != 0 || st.Closed != 0 {
		t.Errorf("counted %+v", st)
	}
}

// groupSnapshot: a member gets the state, and every change since.
func groupSnapshot(t *testing.T, s setting) {
	const changes = 500
	v := s.serve(t, newProbe())
	g := v.engine.Group("counter")
	_, first := v.open()
	must(t, g.Join(first)) // there is always somebody
	var state atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for n := int64(1); n <= changes; n++ {
			state.Store(n)
			check(t, g.PublishContext(t.Context(), session.Notice{Bytes: groupMessage(0, int(n))}))
		}
	})
	for range 4 {
		c, held := v.open()
		must(t, g.JoinAfter(held, func() error { return held.Send(groupMessage(markStay, int(state.Load()))) }))
		all.Go(func() {
			var m [16]byte
			for n := int64(-1); n < changes; {
				if _, err := io.ReadFull(c, m[:]); err != nil {
					t.Error(err)
					return
				}
				got := int64(binary.BigEndian.Uint64(m[8:]))
				// The change that the snapshot has already may come again.
				if snapshot := binary.BigEndian.Uint64(m[:]) == markStay; snapshot != (n < 0) || n >= 0 && got != n+1 && got != n {
					t.Errorf("%d behind %d", got, n)
					return
				}
				n = got
			}
		})
	}
	all.Wait()
}

// groupExcept: a chat, where each gets what the others say.
func groupExcept(t *testing.T, s setting) {
	const talkers, messages = 5, 20
	p := newProbe()
	var g *session.Group
	p.onMessage = func(s *session.Session, f session.Frame) {
		for m := range slices.Chunk(f.Bytes(), 16) {
			check(t, g.SendExcept(s, m))
		}
	}
	v := s.launch(t)
	v.probe = p
	g = v.engine.Group("chat")
	fixed, err := frame.NewFixed(16)
	must(t, err)
	v.listener = v.listen(s.network, session.Framed(p.handler(), fixed))
	var clients []stream
	for range talkers {
		c, held := v.open()
		must(t, g.Join(held))
		clients = append(clients, c)
	}
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			for n := range messages {
				_, err := c.Write(groupMessage(i, n))
				check(t, err)
			}
		})
		all.Go(func() {
			next := make([]int, talkers)
			var m [16]byte
			for range (talkers - 1) * messages {
				if _, err := io.ReadFull(c, m[:]); err != nil {
					t.Error(err)
					return
				}
				from, n := int(binary.BigEndian.Uint64(m[:])), int(binary.BigEndian.Uint64(m[8:]))
				if from == i || n != next[from] {
					t.Errorf("client %d got message %d of %d", i, n, from)
					return
				}
				next[from]++
			}
		})
	}
	all.Wait()
	want := uint64(talkers * (talkers - 1) * messages)
	until(t, "all counted", func() bool { return g.Stats().Delivered == want })
}

// groupEnds: a group is there while it has members, and sessions leave when they close.
func groupEnds(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	names := func() (all []string) {
		for g := range v.engine.Groups {
			all = append(all, g.Name())
		}
		return all
	}
	g := v.engine.Group("room")
	c, held := v.open()
	other, second := v.open()
	must(t, g.Join(held))
	must(t, g.Join(second))
	must(t, v.engine.Group("another").Join(held))
	must(t, g.Send([]byte("hello")))
	mustRead(t, c, "hello")
	mustRead(t, other, "hello")
	if got := names(); !slices.Equal(got, []string{"another", "room"}) {
		t.Errorf("groups %v", got)
	}
	must(t, second.Close())
	mustEnd(t, other)
	other.Close()
	v.awaitClose(session.ReasonLocalClose)
	if st := g.Stats(); st.Members != 1 || g.Has(second) {
		t.Errorf("after one has closed: %+v", st)
	}
	c.Close()
	v.awaitClose(session.ReasonPeerClosed)
	if got := names(); len(got) != 0 {
		t.Errorf("groups %v", got)
	}
	if st := v.engine.Stats(); st.Groups != 0 || st.GroupSent.Members != 0 || st.GroupSent.Delivered != 2 {
		t.Errorf("%d groups, %+v", st.Groups, st.GroupSent)
	}
	if st := g.Stats(); st != (session.GroupStats{}) {
		t.Errorf("a group that is gone has counted %+v", st)
	}
	if err := g.Join(held); !errors.Is(err, session.ErrClosed) {
		t.Errorf("Join of a closed session: %v", err)
	}
	c, held = v.open()
	must(t, g.Join(held))
	must(t, g.Send([]byte("again")))
	mustRead(t, c, "again")
	until(t, "counted anew", func() bool { return g.Stats() == session.GroupStats{Members: 1, Published: 1, Delivered: 1} })
}

// usersHaveSessions: a user's sessions are a group of their own kind.
func usersHaveSessions(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	phone, onPhone := v.open()
	desk, atDesk := v.open()
	for _, held := range []*session.Session{onPhone, atDesk} {
		must(t, v.engine.User("ann").Join(held))
	}
	must(t, v.engine.Group("ann").Join(onPhone)) // has nothing to do with it
	must(t, v.engine.User("ann").Send([]byte("hello ann")))
	mustRead(t, phone, "hello ann")
	mustRead(t, desk, "hello ann")
	must(t, v.engine.Group("ann").Send([]byte("group")))
	mustRead(t, phone, "group")
	var users []string
	for u := range v.engine.Users {
		users = append(users, fmt.Sprint(u.Name(), u.Stats().Members))
	}
	if !slices.Equal(users, []string{"ann2"}) || !slices.Equal(onPhone.Groups(), []string{"ann"}) || len(atDesk.Groups()) != 0 {
		t.Errorf("users %v; one session is in %v, the other in %v", users, onPhone.Groups(), atDesk.Groups())
	}
	phone.Close()
	v.awaitClose(session.ReasonPeerClosed)
	if n := v.engine.User("ann").Kick(session.ReasonOverLimit); n != 1 {
		t.Errorf("%d sessions closed, want 1", n)
	}
	mustEnd(t, desk)
	desk.Close()
	v.awaitClose(session.ReasonOverLimit)
	for u := range v.engine.Users {
		t.Errorf("user %s is still there", u.Name())
	}
}

// meteredReader counts what it reads.
type meteredReader struct {
	io.Reader
	n *atomic.Int64
}

func (r meteredReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

// narrow has the kernels hold little of what is sent to a client who does not read.
func narrow(t *testing.T, c stream, held *session.Session) {
	t.Helper()
	if tcp, ok := c.(*net.TCPConn); ok {
		must(t, tcp.SetReadBuffer(64<<10))
		view, err := held.TCP()
		must(t, err)
		must(t, view.SetWriteBuffer(32<<10))
	}
}

// slowMember: one of 20 does not read. The others get everything; it gets what its
// group's policy says, and all is counted.
func slowMember(policy session.SlowPolicy) func(*testing.T, setting) {
	return func(t *testing.T, s setting) {
		const members, size, keys = 20, 2 << 10, 5
		messages := amount(2000, 300, 200)
		config := session.GroupConfig{Slow: policy, QueueBytes: 16 << 10}
		v := s.serve(t, newProbe(), engine.WithGroups(func(string) session.GroupConfig { return config }))
		g := v.engine.Group("g")
		var readers sync.WaitGroup
		var came [members]atomic.Int64 // bytes
		var slow stream
		var slowSession *session.Session
		for i := range members {
			c, held := v.open()
			if i == 0 {
				narrow(t, c, held)
				slow, slowSession = c, held
			} else {
				readers.Go(func() {
					numbers, err := readNumbers(meteredReader{c, &came[i]}, size, messages)
					if check(t, err); len(numbers) != messages || numbers[messages-1] != messages-1 {
						t.Errorf("%d messages came", len(numbers))
					}
				})
			}
			must(t, g.Join(held))
		}
		m := make([]byte, size)
		come := func(n int) bool {
			for i := 1; i < members; i++ {
				if came[i].Load() < int64(n*size) {
					return false
				}
			}
			return true
		}
		for n := range messages {
			copy(m, groupMessage(0, n))
			must(t, g.PublishContext(t.Context(), session.Notice{Bytes: m, Key: fmt.Sprint(n % keys)}))
			if n%5 == 4 { // fewer than may wait
				until(t, "it has come to the others", func() bool { return come(n + 1) })
			}
		}
		readers.Wait()
		if policy == session.CloseSlow {
			end := v.awaitClose(session.ReasonSlowConsumer)
			if !errors.Is(end, session.ErrBehind) {
				t.Errorf("closed because of %v", end)
			}
			others := uint64((members - 1) * messages)
			var st session.GroupStats
			until(t, "all counted", func() bool { st = v.engine.Stats().GroupSent; return st.Delivered > others })
			if st.Unsent == 0 || st.Closed != 1 || st.Dropped+st.Expired != 0 {
				t.Errorf("counted %+v, of which %d for the others", st, others)
			}
			return
		}
		var st session.GroupStats
		until(t, "all given", func() bool {
			st = g.Stats()
			return int(st.Delivered+st.Dropped)+int(st.Queued) == members*messages
		})
		if st.Dropped == 0 || slowSession.State() != session.Open {
			t.Fatalf("the slow one is not slow: %+v", st)
		}
		numbers, err := readNumbers(slow, size, messages-int(st.Dropped))
		must(t, err)
		wantKept(t, policy, numbers, messages, keys, config.QueueBytes/size-1)
		until(t, "all counted", func() bool {
			now := g.Stats()
			return now.Queued == 0 && now.Dropped == st.Dropped && int(now.Delivered+now.Dropped) == members*messages
		})
		must(t, g.Send([]byte("goes on")))
		mustRead(t, slow, "goes on")
	}
}

// readNumbers reads so many messages of a size.
func readNumbers(c io.Reader, size, messages int) (numbers []int, err error) {
	m := make([]byte, size)
	for len(numbers) < messages {
		if _, err := io.ReadFull(c, m); err != nil {
			return numbers, fmt.Errorf("after %v: %w", numbers, err)
		}
		numbers = append(numbers, int(binary.BigEndian.Uint64(m[8:])))
	}
	return numbers, nil
}

// wantKept wants what a policy keeps for somebody slow: the first messages, and then, since
// kernels take more now and then, pieces in order; the last ones too, if it is not these
// that the policy drops.
func wantKept(t *testing.T, policy session.SlowPolicy, numbers []int, messages, keys, limit int) {
	t.Helper()
	if policy == session.Conflate { // keys are in the order in which they came up
		slices.Sort(numbers)
	}
	last := map[session.SlowPolicy]int{session.DropOldest: limit, session.Conflate: keys}[policy]
	wrong := numbers[0] != 0 || !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers)
	for i := range last {
		wrong = wrong || numbers[len(numbers)-1-i] != messages-1-i
	}
	if wrong {
		t.Errorf("%v: got %v of %d, want the last %d to be there", policy, numbers, messages, last)
	}
}

// closeWhileBehind: who is closed while messages of a group wait for it gets them, or if
// it is aborted they are counted.
func closeWhileBehind(t *testing.T, s setting) {
	const size, messages = 4 << 10, 100
	for _, abort := range []bool{false, true} {
		v := s.serve(t, newProbe())
		g := v.engine.Group("g")
		c, held := v.open()
		narrow(t, c, held)
		must(t, g.Join(held))
		m := make([]byte, size)
		for n := range messages {
			copy(m, groupMessage(0, n))
			must(t, g.Send(m))
		}
		until(t, "the member is behind", func() bool { return g.Stats().Queued > 0 })
		until(t, "all are given", func() bool { st := g.Stats(); return int(st.Delivered)+int(st.Queued) == messages })
		if abort {
			must(t, held.Abort())
			v.awaitClose(session.ReasonAborted)
		} else {
			must(t, held.Close())
			if err := g.Send(m); err != nil { // too late
				t.Error(err)
			}
			numbers, err := readNumbers(c, size, messages)
			if must(t, err); numbers[messages-1] != messages-1 {
				t.Errorf("got %v", numbers)
			}
			mustEnd(t, c)
			c.Close()
			v.awaitClose(session.ReasonLocalClose)
		}
		st := v.engine.Stats().GroupSent
		if st.Queued != 0 || int(st.Delivered+st.Unsent) != int(st.Published) || (st.Unsent > 1) != abort {
			t.Errorf("abort %v: counted %+v", abort, st)
		}
	}
}

// shutdownWithLaggards: Shutdown drains what groups owe, also to those who are behind, and
// what was published just before.
func shutdownWithLaggards(t *testing.T, s setting) {
	const members, size, messages = 5, 2 << 10, 50
	v := s.serve(t, newProbe())
	g := v.engine.Group("g")
	var clients []stream
	for range members {
		c, held := v.open()
		narrow(t, c, held)
		must(t, g.Join(held))
		clients = append(clients, c)
	}
	m := make([]byte, size)
	for n := range messages {
		copy(m, groupMessage(0, n))
		must(t, g.Send(m))
	}
	down := make(chan error, 1)
	go func() { down <- v.engine.Shutdown(t.Context()) }()
	var readers sync.WaitGroup
	for _, c := range clients {
		readers.Go(func() {
			all, err := io.ReadAll(c)
			if check(t, err); len(all) != size*messages {
				t.Errorf("%d bytes came, of %d", len(all), size*messages)
			}
			c.Close()
		})
	}
	readers.Wait()
	must(t, await(t, "Shutdown", down))
	st := v.engine.Stats().GroupSent
	if st.Delivered != members*messages || st.Unsent != 0 || st.Queued != 0 {
		t.Errorf("counted %+v", st)
	}
}

// stopBehindPublish: a handler publishes, and has the engine stop.
func stopBehindPublish(t *testing.T, s setting) {
	p := newProbe()
	v := s.launch(t)
	g := v.engine.Group("g")
	p.onMessage = func(*session.Session, session.Frame) {
		check(t, g.Send([]byte("good bye")))
		v.engine.Stop()
	}
	v.probe = p
	v.listener = v.listen(s.network, p.handler())
	var clients []stream
	for range 4 {
		c, held := v.open()
		must(t, g.Join(held))
		clients = append(clients, c)
	}
	_, err := clients[0].Write([]byte("stop"))
	must(t, err)
	got := 0
	for _, c := range clients {
		all, err := io.ReadAll(c)
		if must(t, err); string(all) == "good bye" {
			got++
		} else if len(all) > 0 {
			t.Errorf("read %q", all)
		}
		c.Close()
	}
	v.shutdown()
	st := v.engine.Stats().GroupSent
	if got != len(clients) || int(st.Delivered) != got || int(st.Delivered+st.Unsent) != len(clients) {
		t.Errorf("%d of %d got it; counted %+v", got, len(clients), st)
	}
}

// bus is a backplane in memory. Everything goes through one lock, which keeps order.
type bus struct {
	mu      sync.Mutex
	engines map[*port]func(string, session.Notice) error
}

// port is one engine's side of it.
type port struct{ *bus }

func (p *port) Publish(group string, n session.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, deliver := range p.engines {
		if other != p {
			if err := deliver(group, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *port) Subscribe(deliver func(string, session.Notice) error) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.engines[p] = deliver
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.engines, p)
	}, nil
}

// backplaneJoinsEngines: what is published on one engine reaches members on all, once and
// in order, until an engine ends.
func backplaneJoinsEngines(t *testing.T, s setting) {
	const engines, messages = 3, 100
	b := &bus{engines: make(map[*port]func(string, session.Notice) error)}
	var servers []*server
	var clients []stream
	for range engines {
		v := s.serve(t, newProbe(), engine.WithBackplane(&port{b}))
		c, held := v.open()
		must(t, v.engine.Group("g").Join(held))
		must(t, v.engine.User("somebody").Join(held))
		servers, clients = append(servers, v), append(clients, c)
	}
	var all sync.WaitGroup
	for p, v := range servers {
		all.Go(func() {
			for n := range messages {
				check(t, v.engine.Group("g").Send(groupMessage(p, n)))
			}
		})
	}
	for _, c := range clients {
		all.Go(func() { check(t, readGroup(c, engines, messages)) })
	}
	all.Wait()

	// Except is one engine's own; users are, too; a group without members here has some there.
	must(t, servers[0].engine.Group("g").Leave(sessionOf(servers[0], "g")))
	must(t, servers[0].engine.User("somebody").Send([]byte("user")))
	must(t, servers[0].engine.Group("g").Send([]byte("from without")))
	mustRead(t, clients[0], "user")
	mustRead(t, clients[1], "from without")
	mustRead(t, clients[2], "from without")

	must(t, servers[1].engine.Close())
	b.mu.Lock()
	if len(b.engines) != engines-1 {
		t.Errorf("%d engines subscribe after one was closed", len(b.engines))
	}
	b.mu.Unlock()
	must(t, servers[0].engine.Group("g").Send([]byte("still")))
	mustRead(t, clients[2], "still")
}

// sessionOf returns the first member of a group.
func sessionOf(v *server, group string) (first *session.Session) {
	for s := range v.engine.Group(group).Members {
		return s
	}
	return nil
}

// TestGroupsWhileTheEngineEnds: whoever publishes, joins and leaves while the engine is
// closed gets an error at most, and no memory is left.
func TestGroupsWhileTheEngineEnds(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			for range amount(100, 5, 3) {
				v := serve(t, "tcp4", newProbe(), engine.WithMode(mode), engine.WithLoops(2))
				g := v.engine.Group("g")
				var stop atomic.Bool
				var all sync.WaitGroup
				for range 4 {
					c, held := v.open()
					must(t, g.Join(held))
					all.Go(func() { _, _ = io.Copy(io.Discard, c) })
					all.Go(func() {
						for !stop.Load() {
							_ = g.Send(groupMessage(0, 0))
							if g.Leave(held) == nil {
								_ = g.Join(held)
							}
							runtime.Gosched()
						}
					})
				}
				until(t, "some messages", func() bool { return v.engine.Stats().GroupSent.Delivered > 100 })
				must(t, v.engine.Close())
				stop.Store(true)
				all.Wait()
				st := v.engine.Stats()
				if st.Groups != 0 || st.GroupSent.Queued != 0 {
					t.Errorf("%d groups are left: %+v", st.Groups, st.GroupSent)
				}
				v.mustBeClean()
			}
		})
	}
}
