//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// A server's clients connect to a host, which counts what they send, and tell what they
// did. Other servers have none.
func TestSwarmAndHost(t *testing.T) {
	address := hostAddress()
	h, err := startChild(nil, hostRole, address)
	if err != nil {
		t.Fatal(err)
	}
	defer h.stop()
	var started hostReport
	if err := h.read(&started, startWithin); err != nil || started.Error != "" || started.PID == 0 {
		t.Fatalf("host: %v, %+v", err, started)
	}
	for _, k := range kinds() {
		c, err := startChild(nil, serveRole, k.name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.stop()
		var served hello
		if err := c.read(&served, startWithin); err != nil {
			t.Fatal(err)
		}
		var st state
		if err := c.ask(fmt.Sprintf("clients 5 %s", address), &st); err != nil {
			t.Fatal(err)
		}
		if (st.Swarm != nil) != k.weir {
			t.Errorf("%s: clients %+v", k.name, st.Swarm)
		}
		if !k.weir {
			continue
		}
		ask := func(command string) swarmState {
			var st state
			if err := c.ask(command, &st); err != nil || st.Swarm == nil {
				t.Fatalf("%s at %q: %v", k.name, command, err)
			}
			return *st.Swarm
		}
		for began := time.Now(); ask("state").Connected < 5; {
			if time.Since(began) > settleMax {
				t.Fatalf("%s: %+v", k.name, ask("state"))
			}
		}
		ask("hush")
		for began := time.Now(); ask("state").Waits > 0; {
			if time.Since(began) > settleMax {
				t.Fatalf("%s: %+v", k.name, ask("state"))
			}
		}
		before := ask("came 0")
		if before.Came != 5 || before.Last < before.Half {
			t.Errorf("%s: %+v", k.name, before)
		}
		st1 := ask("part")
		if st1.Connects != 5 || st1.Disconnects != 5 || st1.Reasons["local_close "] != 5 || st1.Sent == 0 || st1.Sent != st1.Had ||
			st1.Unsent != 0 || st1.Failed != 0 || st1.Mistakes != 0 {
			t.Errorf("%s: %+v", k.name, st1)
		}
		once := ask("connect 1000 " + address)
		if once.Outcome != "connected" {
			t.Errorf("%s: %+v", k.name, once)
		}
		var seen hostReport
		if err := h.ask("report", &seen); err != nil || seen.Clients != 5 || seen.Messages < st1.Sent || seen.Accepted < 6 {
			text, _ := json.Marshal(seen)
			t.Errorf("%s: the host has seen %s, want %d messages: %v", k.name, text, st1.Sent, err)
		}
	}
}
