package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/internal/load"
)

const (
	hubMessage = 64
	greeting   = 0xff // the first byte of messages that begin a load
)

// testHub sends each whole message to all connections that it has, changed by
// spoil: number counts the messages that one connection is sent.
type testHub struct {
	size  int
	spoil func(conn, number int, message []byte) []byte

	mu     sync.Mutex
	conns  []net.Conn
	sent   []int
	joined chan struct{}
}

func startHub(t *testing.T, size int, spoil func(conn, number int, message []byte) []byte) string {
	t.Helper()
	_, address := startNumberedHub(t, size, spoil)
	return address
}

// startNumberedHub is startHub; joined tells of each connection that has its number.
func startNumberedHub(t *testing.T, size int, spoil func(conn, number int, message []byte) []byte) (joined <-chan struct{}, address string) {
	t.Helper()
	h := &testHub{size: size, spoil: spoil, joined: make(chan struct{}, 1000)}
	return h.joined, startServer(t, "tcp4", h.serve).address
}

func (h *testHub) serve(c net.Conn) {
	h.mu.Lock()
	h.conns = append(h.conns, c)
	h.sent = append(h.sent, 0)
	h.mu.Unlock()
	h.joined <- struct{}{}
	message := make([]byte, h.size)
	for {
		if _, err := io.ReadFull(c, message); err != nil {
			return
		}
		h.broadcast(message)
	}
}

func (h *testHub) broadcast(message []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range h.conns {
		if message[0] == greeting {
			_, _ = c.Write(message)
			continue
		}
		out := append([]byte(nil), message...)
		if h.spoil != nil {
			out = h.spoil(i, h.sent[i], out)
		}
		h.sent[i]++
		_, _ = c.Write(out) // the load sees what is missing
	}
}

func fanConfig(address string) load.FanConfig {
	return load.FanConfig{Address: address, Publishers: 1, Subscribers: 5, MessageSize: hubMessage}
}

func newFan(t *testing.T, c load.FanConfig) *load.Fan {
	t.Helper()
	f, err := load.NewFan(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func fanWindow(inFlight int) load.FanRun {
	return load.FanRun{InFlight: inFlight, WarmUp: 10 * time.Millisecond, Duration: 50 * time.Millisecond, Patience: 20 * time.Second}
}

func TestFanVerifiesEveryDelivery(t *testing.T) {
	for name, c := range map[string]load.FanConfig{
		"one publisher":    {Publishers: 1, Subscribers: 5, MessageSize: hubMessage},
		"three publishers": {Publishers: 3, Subscribers: 5, MessageSize: hubMessage},
		"smallest":         {Publishers: 2, Subscribers: 1, MessageSize: 16},
		"large":            {Publishers: 2, Subscribers: 3, MessageSize: 50_000},
	} {
		t.Run(name, func(t *testing.T) {
			c.Address = startHub(t, c.MessageSize, nil)
			f := newFan(t, c)
			for _, inFlight := range []int{1, 7, 64} { // over the same connections
				w := fanWindow(inFlight)
				checkFan(t, c, measured(t, &w.Duration, func() (load.FanResult, error) { return f.Run(t.Context(), w, nil) }, delivered))
			}
		})
	}
}

// delivered is what a run must have counted to be checked.
func delivered(r load.FanResult) int64 { return min(r.Messages, r.Deliveries) }

// checkFan holds what every run against a faithful hub must show.
func checkFan(t *testing.T, c load.FanConfig, r load.FanResult) {
	t.Helper()
	if r.Messages == 0 || r.Deliveries == 0 || r.Duration <= 0 {
		t.Errorf("nothing was measured: %+v", r)
	}
	all := int64(c.Publishers + c.Subscribers)
	if r.Verified < r.Messages*all*int64(c.MessageSize) || r.Verified%(all*int64(c.MessageSize)) != 0 {
		t.Errorf("%d bytes verified of %d messages to %d connections", r.Verified, r.Messages, all)
	}
	if got, want := r.DeliveriesPerSecond, float64(r.Deliveries)/r.Duration.Seconds(); got != want {
		t.Errorf("%v deliveries/s, want %v", got, want)
	}
	if l := r.Last; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.P999 {
		t.Errorf("percentiles out of order: %+v", l)
	}
}

func TestFanSendsAtAFixedRate(t *testing.T) {
	c := fanConfig(startHub(t, hubMessage, nil))
	c.Publishers = 2
	f := newFan(t, c)
	run := load.FanRun{Rate: 1000, WarmUp: 10 * time.Millisecond, Duration: 200 * time.Millisecond}
	r := measured(t, &run.Duration, func() (load.FanResult, error) { return f.Run(t.Context(), run, nil) }, delivered)
	checkFan(t, c, r)
	if want := int64(r.Duration / time.Millisecond); r.Messages < want-1 || r.Messages > want+1 {
		t.Errorf("%d messages in %v, want 1000 a second", r.Messages, r.Duration)
	}
	if r.Each.P50 <= 0 || r.Each.P50 > r.Last.Max {
		t.Errorf("each %+v, last %+v", r.Each, r.Last)
	}
}

// A hub that stands still for a while is charged for every message that was due
// meanwhile, sent or not.
func TestFanStallCountsFromTheMomentThatAMessageWasDue(t *testing.T) {
	const stall = 300 * time.Millisecond
	c := fanConfig(startHub(t, hubMessage, func(conn, number int, message []byte) []byte {
		if conn == 0 && number == 20 {
			time.Sleep(stall)
		}
		return message
	}))
	f := newFan(t, c)
	r, err := f.Run(t.Context(), load.FanRun{Rate: 1000, Duration: 500 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Each.Max < stall*9/10 {
		t.Errorf("the longest latency is %v of a stall of %v", r.Each.Max, stall)
	}
	if r.Each.P50 < stall/10 { // 300 of 500 messages were due in the stall
		t.Errorf("median %v: messages that were due in the stall are not counted", r.Each.P50)
	}
}

func TestFanEndsAfterSoManyMessages(t *testing.T) {
	c := fanConfig(startHub(t, hubMessage, nil))
	f := newFan(t, c)
	for _, r := range []load.FanRun{{InFlight: 8, Messages: 100}, {Rate: 1000, Messages: 30}} {
		r.Duration = time.Minute
		got, err := f.Run(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Messages != r.Messages {
			t.Errorf("%d messages, want %d", got.Messages, r.Messages)
		}
	}
}

// Connection 2 is sent something else than the others.
func TestFanDetectsAHubThatFails(t *testing.T) {
	const at = 10
	var held []byte
	tests := map[string]struct {
		want  string
		spoil func(number int, message []byte) []byte
	}{
		"loses":           {"lost or overtaken", func(int, []byte) []byte { return nil }},
		"duplicates":      {"came again", func(_ int, m []byte) []byte { return append(m, m...) }},
		"flips a bit":     {"wrong byte", func(_ int, m []byte) []byte { m[len(m)-1] ^= 1; return m }},
		"cuts":            {"wrong byte", func(_ int, m []byte) []byte { return m[:len(m)-1] }},
		"invents":         {"message of publisher 9", func(_ int, m []byte) []byte { m[0] = 9; return m }},
		"breaks a number": {"has the number", func(_ int, m []byte) []byte { m[8] = 0xff; return m }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantFanError(t, test.want, func(conn, number int, m []byte) []byte {
				if conn == 2 && number == at {
					return test.spoil(number, m)
				}
				return m
			})
		})
	}
	t.Run("reorders", func(t *testing.T) {
		wantFanError(t, "lost or overtaken", func(conn, number int, m []byte) []byte {
			switch {
			case conn == 2 && number == at:
				held = m
				return nil
			case conn == 2 && number == at+1:
				return append(m, held...)
			}
			return m
		})
	})
}

func wantFanError(t *testing.T, want string, spoil func(conn, number int, message []byte) []byte) {
	t.Helper()
	f := newFan(t, fanConfig(startHub(t, hubMessage, spoil)))
	r := fanWindow(8)
	r.Duration = time.Minute // the fault ends the run
	_, err := f.Run(t.Context(), r, nil)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %q", err, want)
	}
	if _, again := f.Run(t.Context(), r, nil); !errors.Is(again, err) {
		t.Errorf("a run after it: %v", again)
	}
}

func TestFanDetectsLossWithSeveralPublishers(t *testing.T) {
	c := fanConfig(startHub(t, hubMessage, func(conn, number int, m []byte) []byte {
		if conn == 4 && number == 100 {
			return nil
		}
		return m
	}))
	c.Publishers = 3
	r := fanWindow(8)
	r.Duration = time.Minute
	if _, err := newFan(t, c).Run(t.Context(), r, nil); err == nil || !strings.Contains(err.Error(), "lost or overtaken") {
		t.Errorf("got %v", err)
	}
}

func TestFanDetectsThatTheLastMessageIsMissing(t *testing.T) {
	f := newFan(t, fanConfig(startHub(t, hubMessage, func(conn, number int, m []byte) []byte {
		if conn == 3 && number == 19 {
			return nil
		}
		return m
	})))
	r := load.FanRun{InFlight: 4, Messages: 19, Duration: time.Minute}
	if _, err := f.Run(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	r.Messages, r.Patience = 1, 50*time.Millisecond // only the last is lacked, by whomever
	_, err := f.Run(t.Context(), r, nil)
	if err == nil || !strings.Contains(err.Error(), "lacks message 19") {
		t.Errorf("got %v", err)
	}
}

func TestFanDetectsBytesAfterTheLastMessage(t *testing.T) {
	unknown := make([]byte, hubMessage)
	unknown[8] = 0xff // in its number
	for name, test := range map[string]struct {
		surplus []byte // nil is the message itself
		want    string
	}{
		"the same again":     {nil, "message 19 of publisher 0 came again"},
		"a piece":            {[]byte{0}, "more came than was sent: 1 bytes after message 19 of publisher 0"},
		"one that is unsent": {unknown, "more came than was sent: 64 bytes after message 19 of publisher 0"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFan(t, fanConfig(startHub(t, hubMessage, func(conn, number int, m []byte) []byte {
				switch {
				case conn != 3 || number != 19:
					return m
				case test.surplus == nil:
					return append(m, m...)
				}
				return append(m, test.surplus...)
			})))
			r := load.FanRun{InFlight: 1, Messages: 20, Duration: time.Minute}
			_, err := f.Run(t.Context(), r, nil)
			if err == nil { // it came after the end
				_, err = f.Run(t.Context(), r, nil)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestFanReportsAHubThatCloses(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 64))
	})
	if _, err := load.NewFan(t.Context(), fanConfig(s.address)); err == nil || !strings.Contains(err.Error(), "closed by the hub") {
		t.Errorf("got %v", err)
	}
}

func TestFanEndsWithItsContext(t *testing.T) {
	f := newFan(t, fanConfig(startHub(t, hubMessage, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	r := fanWindow(1)
	r.Duration = time.Hour
	_, err := f.Run(ctx, r, func(p load.Progress) {
		if p.Phase == load.Measuring {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFanLeavesNothingBehind(t *testing.T) {
	h := &testHub{size: hubMessage, joined: make(chan struct{}, 1000)}
	s := startServer(t, "tcp4", h.serve)
	before, goroutines := descriptors(t), goleak.IgnoreCurrent()
	f, err := load.NewFan(t.Context(), fanConfig(s.address))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Run(t.Context(), fanWindow(4), nil); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.quiet(t)
	goleak.VerifyNone(t, goroutines)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestFanValidateNamesTheField(t *testing.T) {
	for field, spoil := range map[string]func(*load.FanConfig){
		"address":      func(c *load.FanConfig) { c.Address = "nowhere" },
		"publishers":   func(c *load.FanConfig) { c.Publishers = 17 },
		"subscribers":  func(c *load.FanConfig) { c.Subscribers = 0 },
		"message size": func(c *load.FanConfig) { c.MessageSize = 15 },
	} {
		c := fanConfig("127.0.0.1:1")
		spoil(&c)
		if _, err := load.NewFan(t.Context(), c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for field, spoil := range map[string]func(*load.FanRun){
		"in flight or a rate": func(r *load.FanRun) { r.InFlight = 0 },
		"in flight must":      func(r *load.FanRun) { r.InFlight = -1 },
		"exclude":             func(r *load.FanRun) { r.Rate = 1 },
		"nanosecond":          func(r *load.FanRun) { r.InFlight, r.Rate = 0, 2e9 },
		"warm-up":             func(r *load.FanRun) { r.WarmUp = -1 },
		"duration":            func(r *load.FanRun) { r.Duration = 0 },
		"messages":            func(r *load.FanRun) { r.Messages = -1 },
		"patience":            func(r *load.FanRun) { r.Patience = -1 },
	} {
		r := fanWindow(1)
		if err := r.Validate(); err != nil {
			t.Fatalf("sound before it is spoilt: %v", err)
		}
		spoil(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestFanChildRunsLoads(t *testing.T) {
	c := fanConfig(startHub(t, hubMessage, nil))
	f, err := load.StartFan(t.Context(), executable(t), []string{childArgument}, c)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		phases := map[load.Phase]bool{}
		w := fanWindow(4)
		r := measured(t, &w.Duration, func() (load.FanResult, error) {
			return f.Run(w, func(p load.Progress) { phases[p.Phase] = true })
		}, delivered)
		checkFan(t, c, r)
		if !phases[load.WarmingUp] || !phases[load.Measuring] || !phases[load.Finishing] {
			t.Errorf("progress of phases %v only", phases)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFanChildReportsWhatFailed(t *testing.T) {
	s := startServer(t, "tcp4", silent)
	s.stop()
	if _, err := load.StartFan(t.Context(), executable(t), []string{childArgument}, fanConfig(s.address)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	address := startHub(t, hubMessage, func(int, int, []byte) []byte { return nil })
	f, err := load.StartFan(t.Context(), executable(t), []string{childArgument}, fanConfig(address))
	if err != nil {
		t.Fatal(err)
	}
	r := fanWindow(1)
	r.Patience = time.Millisecond
	if _, err := f.Run(r, nil); err == nil || !strings.Contains(err.Error(), "lacks message 0") {
		t.Errorf("got %v", err)
	}
	if err := f.Close(); err == nil {
		t.Error("the child's failure is not in its exit code")
	}
}

// A signal may end a child before it takes signals for its parent's.
func TestFanChildTellsWhatEndedIt(t *testing.T) {
	_, err := load.StartFan(t.Context(), "/bin/sh", []string{"-c", "kill -INT $$"}, fanConfig("127.0.0.1:1"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Errorf("got %v", err)
	}
}

// A reader tells what became of the stream.
func TestFanReaderTellsWhatCame(t *testing.T) {
	tests := map[string]struct {
		spoil func(number int, m []byte) []byte
		want  load.FanRead
	}{
		"all":       {func(_ int, m []byte) []byte { return m }, load.FanRead{Messages: 20}},
		"left out":  {func(n int, m []byte) []byte { return m[:len(m)*min(n%10, 1)] }, load.FanRead{Messages: 18, Missing: 1}},
		"again":     {func(n int, m []byte) []byte { return append(m, m[:len(m)*(n/19)]...) }, load.FanRead{Messages: 21, Disorder: 1}},
		"nonsense":  {func(n int, m []byte) []byte { m[0] += byte(n / 19); return m }, load.FanRead{Messages: 19, Broken: true, Next: 19}},
		"cut short": {func(n int, m []byte) []byte { return m[:len(m)-n/19] }, load.FanRead{Messages: 19, Next: 19}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			joined, address := startNumberedHub(t, hubMessage, func(conn, number int, m []byte) []byte {
				if conn == 0 {
					return test.spoil(number, m)
				}
				return m
			})
			c := fanConfig(address)
			reader, err := load.StartFanReader(t.Context(), executable(t), []string{childArgument}, c)
			if err != nil {
				t.Fatal(err)
			}
			<-joined // it is number 0
			f := newFan(t, c)
			if _, err := f.Run(t.Context(), load.FanRun{InFlight: 4, Messages: 20, Duration: time.Minute}, nil); err != nil {
				t.Fatal(err)
			}
			if test.want.Next == 0 {
				test.want.Next = 20
			}
			got, err := reader.Report(200 * time.Millisecond)
			for late := time.Now().Add(patience); err == nil && got != test.want && time.Now().Before(late); {
				got, err = reader.Report(200 * time.Millisecond) // it may not have run meanwhile
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if err := reader.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What came before a reader starts waits for it.
func TestFanReaderReadsFromItsStartOn(t *testing.T) {
	joined, address := startNumberedHub(t, hubMessage, nil)
	c := fanConfig(address)
	r, err := load.OpenFanReader(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	<-joined
	if _, err := newFan(t, c).Run(t.Context(), load.FanRun{InFlight: 4, Messages: 20, Duration: time.Minute}, nil); err != nil {
		t.Fatal(err)
	}
	if got := r.Report(0); got != (load.FanRead{Next: -1}) {
		t.Errorf("got %+v before the start", got)
	}
	r.Start()
	want := load.FanRead{Messages: 20, Next: 20}
	got := r.Report(200 * time.Millisecond)
	for late := time.Now().Add(patience); got != want && time.Now().Before(late); {
		got = r.Report(200 * time.Millisecond) // it may not have run meanwhile
	}
	if got != want {
		t.Errorf("got %+v", got)
	}
}

func TestFanReaderClosesWithoutAStart(t *testing.T) {
	r, err := load.OpenFanReader(t.Context(), fanConfig(startHub(t, hubMessage, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestFanReaderTellsThatItWasClosed(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) { _, _ = c.Write(make([]byte, 10)) })
	r, err := load.NewFanReader(t.Context(), fanConfig(s.address))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Report(20 * time.Second); !got.Closed || got.Messages != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestFanResultSurvivesJSON(t *testing.T) {
	r, err := newFan(t, fanConfig(startHub(t, hubMessage, nil))).Run(t.Context(), fanWindow(4), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back load.FanResult
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("%+v came back as %+v", r, back)
	}
}
