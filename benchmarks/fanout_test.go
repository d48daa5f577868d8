package main

import (
	"errors"
	"flag"
	"io"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/internal/load"
)

func TestFanoutCellsHaveNamesThatParse(t *testing.T) {
	var got []string
	for _, c := range fanoutCells() {
		got = append(got, c.String())
		if back, err := parseFanoutCell(c.String()); err != nil || back != c {
			t.Errorf("%v came back as %v, %v", c, back, err)
		}
	}
	for _, want := range []string{"100x64x1", "1000x1024x64", "9000x1024x1", "9000x64@10"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s among %v", want, got)
		}
	}
	for _, name := range []string{"", "100", "100x64", "100x64x0", "0x64x1", "100x64@0", "100x64@", "100x64x1@5", "100x64x1 "} {
		if c, err := parseFanoutCell(name); err == nil {
			t.Errorf("%q was taken for %v", name, c)
		}
	}
}

func TestFanoutOptionsFromFlags(t *testing.T) {
	args := "-cells 5x64x2,1000x64* -contenders std,floor -publishers 2 -rounds 4 -round-duration 50ms -warm-up 0s -json x"
	got, err := fanoutDefaults().parse(strings.Fields(args), io.Discard)
	want := fanoutDefaults()
	want.cells = []fanoutCell{{5, 64, 2, 0}, {1000, 64, 1, 0}, {1000, 64, 64, 0}, {1000, 64, 0, 90}}
	want.contenders = []string{"std", "floor"}
	want.publishers, want.rounds, want.round, want.warmUp, want.resultsPath = 2, 4, 50*time.Millisecond, 0, "x"
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}

	got, err = fanoutDefaults().parse([]string{"-stuck", "-burst", "9"}, io.Discard)
	want = fanoutDefaults()
	want.stuck, want.burst, want.cells, want.round = true, 9, stuckCells(), stuckRound
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("-stuck: got %+v, %v", got, err)
	}
}

func TestFanoutOptionsRefuseBadValues(t *testing.T) {
	for _, args := range []string{
		"-rounds 0", "-round-duration 0s", "-warm-up -1s", "-cells y", "-cells 1x64x300", "-contenders nobody", "-contenders std,std",
		"-publishers 0", "-publishers 5", "-burst 0", "-stuck -cells 100x64x1", "more",
	} {
		if _, err := fanoutDefaults().parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}

func TestFanoutHelpNamesContendersAndCells(t *testing.T) {
	var text strings.Builder
	if _, err := fanoutDefaults().parse([]string{"-h"}, &text); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"floor", "std-batch", "9000x1024x64", "-stuck"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
}

func TestScenesGroupCellsInOrder(t *testing.T) {
	a, b, c := fanoutCell{10, 64, 1, 0}, fanoutCell{10, 128, 1, 0}, fanoutCell{10, 64, 0, 5}
	if got, want := scenes([]fanoutCell{a, b, c}), [][]fanoutCell{{a, c}, {b}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEmptyStuckReport(t *testing.T) {
	var text strings.Builder
	(&fanoutBench{options: fanoutDefaults(), results: &recorder{}}).reportStuck(&text)
	if !strings.Contains(text.String(), "nothing was measured") {
		t.Errorf("an empty run prints %q", text.String())
	}
}

func TestFateSaysWhatBecameOfTheStream(t *testing.T) {
	for want, r := range map[string]load.FanRead{
		"got everything":            {Messages: 10, Next: 10},
		"was closed":                {Messages: 5, Next: 5, Closed: true},
		"missed messages":           {Messages: 8, Next: 10, Missing: 2},
		"got messages out of order": {Messages: 10, Next: 10, Disorder: 1},
		"got a broken stream":       {Broken: true},
	} {
		if got := fate(r, 10); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if got := fate(load.FanRead{Messages: 9, Next: 9}, 10); got != "missed messages" {
		t.Errorf("without the last: %q", got)
	}
}

// Silence is no end as long as the last message has not come: the server, or the reader, may
// stand still. It is one when that takes too long.
func TestStuckReaderIsReadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			says []load.FanRead // the last one for good
			want string
		}{
			"at once":       {[]load.FanRead{{Next: 10}}, "got everything"},
			"late":          {[]load.FanRead{{Next: -1}, {Next: 4}, {Next: 10}}, "got everything"},
			"closed late":   {[]load.FanRead{{Next: 4}, {Next: 4}, {Next: 4, Closed: true}}, "was closed"},
			"without last":  {[]load.FanRead{{Next: 4}, {Next: 9}}, "missed messages"},
			"without first": {[]load.FanRead{{Next: 4, Missing: 3}, {Next: 10, Missing: 3}}, "missed messages"},
			"broken":        {[]load.FanRead{{Next: 4, Broken: true}}, "got a broken stream"},
		} {
			began, asked := time.Now(), 0
			got, err := readOut(func(silence time.Duration) (load.FanRead, error) {
				time.Sleep(silence)
				asked++
				return test.says[min(asked, len(test.says))-1], nil
			}, 10)
			if err != nil || fate(got, 10) != test.want || asked < len(test.says) {
				t.Errorf("%s: asked %d times, it has %+v, %v; want %q", name, asked, got, err, test.want)
			}
			if took := time.Since(began); took > stuckPatience+stuckSilence {
				t.Errorf("%s: it was asked for %v", name, took)
			}
		}
		broken := errors.New("broken")
		if _, err := readOut(func(time.Duration) (load.FanRead, error) { return load.FanRead{}, broken }, 10); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStuckSummaryTakesCompleteRounds(t *testing.T) {
	c := stuckCells()[0]
	sample := func(round int, state string, p99 time.Duration) stuckSample {
		return stuckSample{Cell: c, Round: round, Contender: "std", State: state, Fate: "was closed", Grown: 5, Others: load.FanResult{Each: load.Latency{P99: p99}}}
	}
	samples := []stuckSample{
		sample(0, reading, 10), sample(0, stopped, 20), sample(0, readingAgain, 5),
		sample(1, stopped, 40), sample(1, readingAgain, 10), sample(1, reading, 10),
		sample(2, reading, 99), sample(2, stopped, 1),
	}
	got := summarizeStuck(samples)
	want := []stuckSummary{{
		Cell: c, Contender: "std", Rounds: 2, Reading: 10, Stopped: 30, Ratio: ratio{3, interval{2, 4}}, Noise: ratio{0.75, interval{0.5, 1}},
		Fates: map[string]int{"was closed": 2}, Grown: 5,
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Every hub delivers whole messages, all of them and in order: with one sender and
// with several, small messages and such as do not fit into one read.
func TestHubsDeliver(t *testing.T) {
	for _, h := range hubs() {
		for _, c := range []load.FanConfig{
			{Publishers: 1, Subscribers: 20, MessageSize: 64},
			{Publishers: 4, Subscribers: 20, MessageSize: 100},
			{Publishers: 2, Subscribers: 3, MessageSize: 50_000},
		} {
			t.Run(h.name, func(t *testing.T) {
				var err error
				c.Address, err = h.start(c.MessageSize)
				if errors.Is(err, errNoFloor) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				fan, err := load.NewFan(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				defer fan.Close()
				unfinished := min(hubQueue, hubBacklog/2/c.MessageSize) // as the contract of a hub is
				for _, r := range []load.FanRun{{InFlight: 1}, {InFlight: unfinished / c.Publishers}, {Rate: 500}} {
					r.Duration, r.Patience = 30*time.Millisecond, time.Minute
					if _, err := fan.Run(t.Context(), r, nil); err != nil {
						t.Fatalf("%+v: %v", r, err)
					}
				}
			})
		}
	}
}

func TestFanoutEndToEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	args := strings.Fields("fanout -cells 5x64x4,5x64@200 -rounds 2 -round-duration 50ms -warm-up 10ms -contenders floor,std -json " + path)
	var out, log strings.Builder
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	base := "floor"
	if runtime.GOOS != "linux" {
		base = "std"
	}
	for _, want := range []string{"5x64x4", "5x64@200", "std", base + again, "verified", runtime.Version()} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	kinds := countKinds(t, path)
	if kinds["setting"] != 1 || kinds["sample"] != 2*kinds["summary"] || kinds["summary"] != 2*kinds["memory"] || kinds["memory"] < 2 {
		t.Errorf("results hold %v", kinds)
	}
}

// The floor keeps everything for the stopped one; std, whose channels are full by
// then, closes it.
func TestFanoutStuckEndToEnd(t *testing.T) {
	args := strings.Fields("fanout -stuck -cells 5x1024@200 -rounds 1 -round-duration 50ms -warm-up 10ms -burst 2000000 -contenders floor,std")
	var out, log strings.Builder
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	for _, want := range []string{"5x1024@200", "was closed 1×"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if want := "got everything 1×"; runtime.GOOS == "linux" && !strings.Contains(out.String(), want) {
		t.Errorf("%q is missing in\n%s", want, out.String())
	}
}

func TestServeRefusesWhatIsNoHub(t *testing.T) {
	for _, args := range [][]string{{fanoutRequest, "std"}, {fanoutRequest, "nobody", "64"}, {fanoutRequest, "std", "0"}, {fanoutRequest, "std", "x"}} {
		if code := serve(args, strings.NewReader(""), io.Discard); code == 0 {
			t.Errorf("serve %q: exit code 0", args)
		}
	}
}
