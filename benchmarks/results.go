package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// results are what one run has found, as it stands in a file of JSON lines, each
// {"kind": …, "value": …}. Summaries in the file are passed over: they follow from the
// rest.
type results struct {
	name         string // of the file, without its directory
	setting      setting
	suite        suiteLine
	compare      compareLine
	abouts       []aboutLine
	observations []observation
	idle         []idleSample
	probes       []idleSummary
	memories     []fanoutMemory
	stuck        []stuckSample
	rpc          []rpcSample
	calls        []callsLine
	missing      []missingLine
	failures     []failure
	notes        []noteLine
	passedOver   int // lines of kinds that nobody here knows
}

// suiteLine says how a suite was run.
type suiteLine struct {
	Mode   string   `json:"mode"` // quick, usual or full
	Notes  []string `json:"notes,omitempty"`
	Rounds int      `json:"rounds"`
}

// aboutLine says how a contender is set up.
type aboutLine struct {
	Contender string `json:"contender"`
	Hub       bool   `json:"hub,omitempty"` // a server of the fan-out
	About     string `json:"about"`
}

// missingLine says that a contender did not take part, and what to type so that it does.
type missingLine struct {
	Contender string `json:"contender"`
	Why       string `json:"why"`
	Type      string `json:"type,omitempty"`
}

// noteLine is something a reader must know, found out during the run.
type noteLine struct {
	Text string `json:"text"`
}

// lineMax bounds a line of a results file, in bytes.
const lineMax = 1 << 20

// readResults reads a file.
func readResults(path string) (*results, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &results{name: filepath.Base(path)}
	if err := r.read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *results) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, lineMax)
	for n := 1; lines.Scan(); n++ {
		var l struct {
			Kind  string
			Value json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := r.take(l.Kind, l.Value); err != nil {
			return fmt.Errorf("line %d: %s: %w", n, l.Kind, err)
		}
	}
	return lines.Err()
}

// take adds one line.
func (r *results) take(kind string, value json.RawMessage) error {
	switch kind {
	case "setting":
		return json.Unmarshal(value, &r.setting)
	case "suite":
		return json.Unmarshal(value, &r.suite)
	case "compare":
		return json.Unmarshal(value, &r.compare)
	case "about":
		return add(&r.abouts, value)
	case "sample":
		return r.takeSample(value)
	case "summary":
		return r.takeSummary(value)
	case "memory":
		return add(&r.memories, value)
	case "calls":
		return add(&r.calls, value)
	case "missing":
		return add(&r.missing, value)
	case "failure":
		return add(&r.failures, value)
	case "note":
		return add(&r.notes, value)
	default:
		r.passedOver++
		return nil
	}
}

// takeSample tells the kinds of samples by what they have.
func (r *results) takeSample(value json.RawMessage) error {
	var has map[string]json.RawMessage
	if err := json.Unmarshal(value, &has); err != nil {
		return err
	}
	switch {
	case has["state"] != nil:
		return add(&r.stuck, value)
	case has["forced"] != nil:
		return add(&r.idle, value)
	case has["churn"] != nil:
		return observe[churnSample](r, value)
	case has["result"] != nil:
		return observe[fanoutSample](r, value)
	case has["calls_per_second"] != nil:
		return add(&r.rpc, value)
	case has["round_trips_per_second"] != nil:
		return observe[sample](r, value)
	default:
		r.passedOver++
		return nil
	}
}

// takeSummary keeps the one thing that summaries alone have: how long a new connection
// took beside many idle ones.
func (r *results) takeSummary(value json.RawMessage) error {
	var s idleSummary
	if err := json.Unmarshal(value, &s); err == nil && s.Probe > 0 {
		r.probes = append(r.probes, s)
	}
	return nil
}

func add[T any](all *[]T, value json.RawMessage) error {
	var one T
	if err := json.Unmarshal(value, &one); err != nil {
		return err
	}
	*all = append(*all, one)
	return nil
}

func observe[S interface{ observe() observation }](r *results, value json.RawMessage) error {
	var s S
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	r.observations = append(r.observations, s.observe())
	return nil
}

// tests are those that there are observations of, in order.
func (r *results) tests() []string {
	return distinct(r.observations, func(o observation) string { return o.test })
}

// cells are those of a test, in order.
func (r *results) cells(test string) []string {
	return distinct(r.of(test, ""), func(o observation) string { return o.cell })
}

// contenders are those of a cell; the first is the base.
func (r *results) contenders(test, cell string) []string {
	return distinct(r.of(test, cell), func(o observation) string { return o.contender })
}

// of are the observations of a cell, or of a test if cell is empty.
func (r *results) of(test, cell string) []observation {
	return slices.DeleteFunc(slices.Clone(r.observations), func(o observation) bool {
		return o.test != test || cell != "" && o.cell != cell
	})
}

// distinct are the different names of xs, in order.
func distinct[T any](xs []T, name func(T) string) []string {
	var names []string
	for _, x := range xs {
		if n := name(x); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
