//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
)

// get fetches a page. Header is a name and a value, or empty.
func get(t *testing.T, url string, header ...string) (status int, kind, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		request.Header.Set(header[0], header[1])
	}
	client := http.Client{Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header.Get("Content-Type"), string(readAll(t, response.Body))
}

func getStats(t *testing.T, debug string) (st snapshot) {
	t.Helper()
	_, _, body := get(t, debug+"/stats?format=json")
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return st
}

// awaitStats asks until the engine's counters are as wanted.
func awaitStats(t *testing.T, debug string, wanted func(engine.Stats) bool) (st snapshot) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if st = getStats(t, debug); wanted(st.Engine) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("never as wanted: %+v", st.Engine)
		}
	}
}

func TestDebugEndpoint(t *testing.T) {
	p := start(t, "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0", "-log", "off", "-loops", "2")
	debug := p.await(`debug on (http://\S+)/$`)
	c := dial(t, p.await(listeningLine))
	if _, err := io.WriteString(c, "twelve bytes"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 12)); err != nil {
		t.Fatal(err)
	}

	// The bytes may be back before the server has counted them, as sent or as received.
	awaitStats(t, debug, func(st engine.Stats) bool { return st.BytesIn == 12 && st.BytesOut == 12 })

	t.Run("text", func(t *testing.T) {
		_, kind, body := get(t, debug+"/stats")
		if !strings.HasPrefix(kind, "text/plain") {
			t.Errorf("content type %q", kind)
		}
		for _, line := range []string{
			"Engine.Loops 2\n", "Engine.Sessions 1\n", "Engine.BytesIn 12\n", "Engine.BytesOut 12\n",
			"Engine.Closed.slow_consumer 0\n", "Engine.Memory.Buffers.Segments ", "Process.Goroutines ", "Process.HeapInUse ",
		} {
			if !strings.Contains(body, line) {
				t.Errorf("%q is missing in\n%s", line, body)
			}
		}
	})
	t.Run("JSON", func(t *testing.T) {
		for _, request := range [][]string{{"/stats?format=json"}, {"/stats", "Accept", "application/json"}} {
			_, kind, body := get(t, debug+request[0], request[1:]...)
			var st snapshot
			if err := json.Unmarshal([]byte(body), &st); err != nil || kind != "application/json" {
				t.Errorf("%v: %q %q", err, kind, body)
			}
			if st.Engine.Opened != 1 || st.Engine.BytesIn != 12 || st.Process.Goroutines == 0 {
				t.Errorf("got %+v", st)
			}
			if runtime.GOOS == "linux" && (st.Process.RSS < 1<<20 || st.Process.OpenFiles < 5 || st.Process.MaxFiles == 0) {
				t.Errorf("got %+v", st.Process)
			}
		}
	})
	t.Run("gc", func(t *testing.T) {
		before := getStats(t, debug).Process
		get(t, debug+"/stats?gc=1")
		after := getStats(t, debug).Process
		if after.Collections < before.Collections+2 {
			t.Errorf("%d collections before, %d after", before.Collections, after.Collections)
		}
		if after.HeapReleased == 0 {
			t.Error("nothing was given back to the system")
		}
	})
	t.Run("bad requests", func(t *testing.T) {
		for _, query := range []string{"format=xml", "gc=perhaps"} {
			if status, _, body := get(t, debug+"/stats?"+query); status != http.StatusBadRequest || !strings.Contains(body, "must be") {
				t.Errorf("%s: %d %q", query, status, body)
			}
		}
	})
	t.Run("pprof", func(t *testing.T) {
		if status, _, body := get(t, debug+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "goroutine profile") {
			t.Errorf("%d %q", status, body)
		}
	})
	c.Close()
	awaitStats(t, debug, func(st engine.Stats) bool { return st.Closed["peer_closed"] == 1 })
	t.Run("closed", func(t *testing.T) {
		status, kind, body := get(t, debug+"/closed")
		for deadline := time.Now().Add(patience); body == "" && time.Now().Before(deadline); { // it is counted before it is remembered
			status, kind, body = get(t, debug+"/closed")
		}
		if status != http.StatusOK || !strings.HasPrefix(kind, "text/plain") {
			t.Errorf("%d, content type %q", status, kind)
		}
		if !strings.Contains(body, "peer_closed") || !strings.Contains(body, c.LocalAddr().String()) || !strings.Contains(body, "in 12 B") {
			t.Errorf("the session that closed is not in\n%s", body)
		}
	})
	p.end(os.Interrupt, 0)
}
