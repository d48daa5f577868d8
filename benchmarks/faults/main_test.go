//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test binary is also the processes that a run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serveRole || os.Args[1] == probeRole || os.Args[1] == pumpRole || os.Args[1] == hostRole) {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// Race builds sleep for a second before they end; the children need not.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// A row on two servers, from the flags to the files. Whether the row is met is not
// this test's business.
func TestHarnessEndToEnd(t *testing.T) {
	dir := t.TempDir()
	results, table := filepath.Join(dir, "results.jsonl"), filepath.Join(dir, "table.md")
	var out, log strings.Builder
	args := []string{"-quick", "-rows=8,57", "-servers=weir-inline,std", "-json=" + results, "-markdown=" + table}
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 && !strings.Contains(out.String(), "NOT MET") {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	for _, want := range []string{
		"8 a handler panics, weir-inline: ", "10 of 10 connections were closed", "counted as handler_panic",
		"8 a handler panics, std: NOT MET", "the process has ended: panic: boom 0", "57 the logger blocks, std: does not apply",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	text, err := os.ReadFile(table)
	if err != nil || !strings.Contains(string(text), "| 8 a handler panics | ") {
		t.Errorf("%v; the table is\n%s", err, text)
	}
	text, err = os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var first result
	if err := json.Unmarshal([]byte(lines[1]), &first); err != nil || len(lines) != 7 || first.Row != 8 ||
		first.Before.Count == 0 || first.Base.Descriptors == 0 {
		t.Errorf("%v; %d lines, the second %s", err, len(lines), lines[1])
	}
}

// Every server echoes and obeys.
func TestServersObey(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			c, err := startChild(nil, serveRole, k.name)
			if err != nil {
				t.Fatal(err)
			}
			defer c.stop()
			var h hello
			if err := c.read(&h, startWithin); err != nil || h.Error != "" {
				t.Fatalf("%v %s\n%s", err, h.Error, c.log.text())
			}
			conn, err := dial(h.Address, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer reset(conn)
			for _, text := range []string{"sleep 1ms", "burn 1ms", "sndbuf 8192"} {
				if err := command(conn, text); err != nil {
					t.Errorf("%s: %v", text, err)
				}
			}
			if err := stream(conn, letters(1, 1<<20), false); err != nil {
				t.Error("echo: ", err)
			}
			if _, err := conn.Write([]byte("!flood z 10000")); err != nil {
				t.Error(err)
			}
			if err := expect(conn, strings.Repeat("z", 10000)); err != nil {
				t.Error("flood: ", err)
			}
			var st state
			if err := c.ask("gc", &st); err != nil || st.Opened != 1 || st.Closed != 0 || st.Handled < 1<<20 || st.Goroutines == 0 {
				t.Errorf("%v, state %+v", err, st)
			}
			if _, err := conn.Write([]byte("!segments 10000 100")); err != nil {
				t.Error(err)
			}
			if _, err := readBack(conn, ownText(10000), false); err != nil {
				t.Error("segments: ", err)
			}
			if _, err := conn.Write([]byte("!end 1000")); err != nil {
				t.Error(err)
			}
			if clean, err := ended(conn); err != nil || !clean {
				t.Errorf("the connection ended with %v, FIN: %v", err, clean)
			}
			reset(conn)
			if k.name == "std" {
				return // it has no shutdown
			}
			if conn, err = dial(h.Address, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			defer reset(conn)
			if err := echo(conn, "!stop"); err != nil {
				t.Error("stop: ", err)
			}
			if _, err := ended(conn); err != nil {
				t.Error("stop: ", err)
			}
			conn.Close()
			if err := c.read(&st, shutdownMax); err != nil || st.Shutdown != "ok" || !c.awaitEnd(stopWithin) {
				t.Errorf("after stop: %v, shutdown %q", err, st.Shutdown)
			}
		})
	}
}

// A server may have another beside it, which greets.
func TestServersGreet(t *testing.T) {
	for _, k := range kinds() {
		for _, network := range []string{"tcp4", "unix"} {
			t.Run(k.name+"/"+network, func(t *testing.T) {
				c, err := startChild(nil, serveRole, k.name, "-beside="+network, "-greet=10000", "-dir="+t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer c.stop()
				var h hello
				if err := c.read(&h, startWithin); err != nil || h.Error != "" {
					t.Fatalf("%v %s\n%s", err, h.Error, c.log.text())
				}
				conn, err := net.DialTimeout(network, h.Beside, dialPatience)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := readBack(conn, ownText(10000), false); err != nil {
					t.Error("greeting: ", err)
				}
				if err := command(conn, "sndbuf 8192"); err != nil {
					t.Error("sndbuf: ", err)
				}
			})
		}
	}
}

func TestAwaitEnds(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ours []*net.TCPConn
	for _, end := range []func(net.Conn){
		func(c net.Conn) { c.Close() },
		func(c net.Conn) { reset(c.(*net.TCPConn)) },
		func(net.Conn) {},
	} {
		c, err := dial(l.Addr().String(), dialPatience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		end(peer)
		ours = append(ours, c)
	}
	if got := awaitEnds(ours[:2], time.Now().Add(30*time.Second)); got.open != 0 || got.last.IsZero() {
		t.Errorf("%d are still open, the last ended at %v; want none", got.open, got.last)
	}
	for _, patience := range []time.Duration{50 * time.Millisecond, 0, -time.Second} { // who is late looks all the same
		if got := awaitEnds(ours, time.Now().Add(patience)); got.open != 1 || got.last.IsZero() {
			t.Errorf("within %v %d are still open, the last ended at %v; want 1", patience, got.open, got.last)
		}
	}
}

func TestCut(t *testing.T) {
	text := letters(1, 1003)
	pieces := cut(text, 10)
	if len(pieces) != 10 || string(bytes.Join(pieces, nil)) != string(text) || len(pieces[9]) > 101 {
		t.Errorf("%d pieces, the last of %d bytes", len(pieces), len(pieces[9]))
	}
}

func TestBadFlagsExitWithTwo(t *testing.T) {
	for _, arg := range []string{"-rows=13", "-rows=x", "-servers=nobody", "-nonsense", "more"} {
		var log strings.Builder
		if code := run([]string{arg}, strings.NewReader(""), &strings.Builder{}, &log); code != 2 || log.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", arg, code, log.String())
		}
	}
	var help strings.Builder
	if code := run([]string{"-h"}, strings.NewReader(""), &help, &help); code != 0 {
		t.Errorf("-h: exit code %d", code)
	}
	for _, want := range []string{"weir-inline", "EMFILE at accept", "-quick"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("%q is missing in\n%s", want, help.String())
		}
	}
}

func TestServeRefusesBadArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"nobody"}, {"std", "-nonsense"}} {
		var out strings.Builder
		if code := serve(args, strings.NewReader(""), &out); code == 0 || !strings.Contains(out.String(), `"error":`) {
			t.Errorf("%q: exit code %d, %s", args, code, out.String())
		}
	}
}
