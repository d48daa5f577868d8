package engine_test

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// TestFault01EMFILEAtAccept runs out of descriptors: 150 connections to a server
// that may have 64 open.
func TestFault01EMFILEAtAccept(t *testing.T) {
	const conns = 150
	hold := amount(2*time.Second, 2*time.Second, 500*time.Millisecond)
	server := startChild(t, "echo 64")
	addr := server.line(t)

	var held []net.Conn
	for range conns {
		c, err := net.DialTimeout("tcp", addr, patience) // the kernel completes it
		must(t, err)
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(patience)))
		held = append(held, c)
	}
	mustEcho(t, held[0], "has been accepted")

	before := cpuOf(t, server.Process.Pid)
	<-time.After(hold)
	used := cpuOf(t, server.Process.Pid) - before
	t.Logf("without descriptors for %v: %v of processor time, %.1f %%", hold, used, 100*float64(used)/float64(hold))
	if used > hold/5 {
		t.Errorf("the server used %v of processor time in %v", used, hold)
	}
	mustEcho(t, held[0], "is served all the while")

	for _, c := range held {
		c.Close()
	}
	began := time.Now()
	c, err := net.DialTimeout("tcp", addr, patience)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	mustEcho(t, c, "accepts again")
	took := time.Since(began)
	t.Logf("echo %v after the release", took)
	if took > time.Second {
		t.Errorf("it took %v until a connection was served again", took)
	}
	c.Close()
	must(t, server.stdin.Close())
	var accepted, pauses int
	text := server.line(t)
	if _, err := fmt.Sscanf(text, "accepted %d pauses %d", &accepted, &pauses); err != nil || pauses == 0 {
		t.Errorf("the server says %q, %v; want at least one pause", text, err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, server.stderr)
	}
	t.Log(text)
}
