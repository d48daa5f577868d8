package metrics

import (
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Package ants starts two goroutines when the program begins.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// start makes an engine that is closed at the end of the test.
func start(t *testing.T, name string) (*engine.Engine, error) {
	t.Helper()
	e, err := engine.New(engine.WithLoops(1), engine.WithLogger(engine.NoLog{}), engine.WithMetrics(Expvar(name)))
	if err == nil {
		t.Cleanup(func() { end(t, e) })
	}
	return e, err
}

func end(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// leaves calls yield with each field of a Stats, and of the structs in it.
func leaves(v reflect.Value, path string, yield func(path string, v reflect.Value)) {
	for i := range v.NumField() {
		name, field := path+v.Type().Field(i).Name, v.Field(i)
		if field.Kind() == reflect.Struct {
			leaves(field, name+".", yield)
		} else {
			yield(name, field)
		}
	}
}

// Whatever is added to engine.Stats must be shown, each under a name of its own.
func TestEveryStatIsShown(t *testing.T) {
	shown := func(st engine.Stats) map[string]any {
		read := func() engine.Stats { return st }
		v := &variable{}
		v.read.Store(&read)
		got := map[string]any{}
		if err := json.Unmarshal([]byte(v.String()), &got); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
		return got
	}
	var st engine.Stats
	none := shown(st)
	names := map[string]string{}
	leaves(reflect.ValueOf(&st).Elem(), "", func(path string, field reflect.Value) {
		defer field.SetZero()
		switch field.Kind() {
		case reflect.Int, reflect.Int64:
			field.SetInt(3)
		case reflect.Uint64, reflect.Uint8:
			field.SetUint(3)
		case reflect.Map:
			field.Set(reflect.ValueOf(map[string]uint64{"idle": 3}))
		default:
			t.Fatalf("%s is a %v: the test does not know these", path, field.Type())
		}
		var changed []string
		for name, value := range shown(st) {
			if !reflect.DeepEqual(value, none[name]) {
				changed = append(changed, name)
			}
		}
		if len(changed) != 1 || names[changed[0]] != "" {
			t.Errorf("Stats.%s is shown as %q, want one name that nothing else has", path, changed)
			return
		}
		names[changed[0]] = path
	})
	if len(names) != len(none) {
		t.Errorf("%d of the %d names show a field of Stats: %v", len(names), len(none), names)
	}
	pattern := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for name := range none {
		if !pattern.MatchString(name) {
			t.Errorf("the name %q is not in snake case", name)
		}
	}
}

// Names and units are promised.
func TestValuesHaveTheirUnits(t *testing.T) {
	var st engine.Stats
	st.Closed = map[string]uint64{"idle": 4}
	st.Memory.QueuedMaxID = 1<<63 + 1
	read := func() engine.Stats { return st }
	v := &variable{}
	v.read.Store(&read)
	got := map[string]any{}
	if err := json.Unmarshal([]byte(v.String()), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"closed_total":          map[string]any{"idle": 4.0},
		"session_queued_max_id": "9223372036854775809",
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// One engine after the other may have a name, two at once may not.
func TestNames(t *testing.T) {
	first, err := start(t, "names")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, "names"); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a second engine of the name: %v, want ErrNameTaken", err)
	}
	if _, err := start(t, "memstats"); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a name of expvar's own: %v, want ErrNameTaken", err)
	}
	if _, err := start(t, "other names"); err != nil {
		t.Errorf("another name: %v", err)
	}
	variable := expvar.Get("names")
	if variable.String() == "null" {
		t.Error("the first engine is not shown")
	}
	end(t, first)
	if got := variable.String(); got != "null" {
		t.Errorf("after the engine's end: %s, want null", got)
	}
	if _, err := start(t, "names"); err != nil {
		t.Fatalf("the name is free: %v", err)
	}
	if variable.String() == "null" {
		t.Error("the second engine is not shown")
	}
}

// Of engines that take a name at the same time one gets it, the others an error.
func TestNameIsTakenOnce(t *testing.T) {
	log.SetOutput(io.Discard) // expvar logs before it panics
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	const engines, names = 4, 300
	for i := range 2 * names {
		name := fmt.Sprint("taken once ", i/2) // each twice: new, and used before
		begin := make(chan struct{})
		var wg sync.WaitGroup
		var detach [engines]func()
		for i := range engines {
			wg.Go(func() {
				<-begin
				var err error
				detach[i], err = Expvar(name).Attach(func() engine.Stats { return engine.Stats{} })
				if err != nil && !errors.Is(err, ErrNameTaken) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		close(begin)
		wg.Wait()
		got := 0
		for _, f := range detach {
			if f != nil {
				got++
				f()
			}
		}
		if got != 1 {
			t.Errorf("%s: %d engines got the name", name, got)
		}
	}
}

// Somebody looks, over HTTP, while connections come and go.
func TestExpvarOfARunningEngine(t *testing.T) {
	e, err := start(t, "running")
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(expvar.Handler())
	defer web.Close()
	defer http.DefaultClient.CloseIdleConnections()
	look := func() values {
		t.Helper()
		answer, err := http.Get(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var all struct{ Running values }
		if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
			t.Fatal(err)
		}
		return all.Running
	}
	const conns = 50
	var clients sync.WaitGroup
	clients.Go(func() {
		for range conns {
			if err := echo(l.Addr(), "hello"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for looking := true; looking; {
		look()
		select {
		case <-done:
			looking = false
		default:
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); len(e.RecentlyClosed()) < conns; <-tick.C { // when all is counted
		if time.Now().After(deadline) {
			t.Fatal("sessions do not close")
		}
	}
	got := look()
	if got.Opened != conns || got.BytesIn != conns*5 || got.BytesOut != conns*5 || got.Sessions != 0 || got.Loops != 1 {
		t.Errorf("after %d echoes of 5 bytes: %+v", conns, got)
	}
	want := slices.Sorted(maps.Keys(e.Stats().Closed))
	if reasons := slices.Sorted(maps.Keys(got.Closed)); !slices.Equal(reasons, want) || got.Closed["peer_closed"] != conns {
		t.Errorf("closed: %v", got.Closed)
	}
}

// echo has text echoed on a connection of its own.
func echo(addr net.Addr, text string) error {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, len(text)))
	return err
}
