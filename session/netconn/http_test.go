package netconn_test

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session/netconn"
)

// needTool returns the path of a program that somebody else has written, or skips the test
// and says what is missing.
func needTool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVEN: %s is not installed (Debian package %s): %v", name, pkg, err)
	}
	return path
}

// serveHTTP runs net/http over an engine until the end of the test, for HTTP/1 and for
// HTTP/2 without TLS.
func serveHTTP(t *testing.T, e *engine.Engine, h http.Handler) (url string) {
	t.Helper()
	l, err := netconn.Listen(e, "tcp", "127.0.0.1:0")
	must(t, err)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, server.Shutdown(ctx))
		if err := await(t, "end of Serve", ended); err != http.ErrServerClosed {
			t.Errorf("Serve returned %v, want %v", err, http.ErrServerClosed)
		}
	})
	return "http://" + l.Addr().String()
}

// echoBody answers with the request's body.
func echoBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(body) // the client sees what is missing
}

// TestCurl has curl send bodies and get them back, over HTTP/1 and HTTP/2, several on one
// connection.
func TestCurl(t *testing.T) {
	curl := needTool(t, "curl", "curl")
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		url := serveHTTP(t, launch(t, opts...), http.HandlerFunc(echoBody))
		body := string(noise(3 << 20))
		for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			args := []string{version, "--silent", "--show-error", "--fail", "--header", "Expect:", "--data-binary", "@-", url}
			cmd := exec.CommandContext(ctx, curl, args...)
			cmd.Stdin = strings.NewReader(body)
			complaints := new(strings.Builder)
			cmd.Stderr = complaints
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("curl %s: %v: %s", version, err, complaints)
			}
			if sha256.Sum256(out) != sha256.Sum256([]byte(body)) {
				t.Errorf("curl %s: got %d bytes back that differ from the %d sent", version, len(out), len(body))
			}
		}
	})
}

var h2loadCount = regexp.MustCompile(`requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed`)

// TestH2load has many streams on several connections, by somebody else's HTTP/2.
func TestH2load(t *testing.T) {
	h2load := needTool(t, "h2load", "nghttp2-client")
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		answer := string(noise(10 << 10))
		url := serveHTTP(t, launch(t, opts...), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answer) // h2load counts what is missing
		}))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, h2load, "-n", "4000", "-c", "8", "-m", "16", url+"/").CombinedOutput()
		if err != nil {
			t.Fatalf("h2load: %v\n%s", err, out)
		}
		count := h2loadCount.FindSubmatch(out)
		if count == nil || string(count[1]) != "4000" || string(count[2]) != "4000" || string(count[3]) != "0" {
			t.Errorf("h2load, want 4000 requests to succeed:\n%s", out)
		}
		if !strings.Contains(string(out), "h2c") {
			t.Errorf("h2load did not speak HTTP/2 without TLS:\n%s", out)
		}
	})
}

// writerRests tells whether a goroutine with which net/http's client writes requests has
// nothing to do. If it has not noticed 50 ms after the end of an answer that its request is
// written, the client does not use the connection again. Nobody is told.
func writerRests() bool {
	all := make([]byte, 1<<20)
	return strings.Contains(string(all[:runtime.Stack(all, true)]), "[select]:\nnet/http.(*persistConn).writeLoop(")
}

// TestHTTPClient has net/http's client dial with the engine, too.
func TestHTTPClient(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		url := serveHTTP(t, e, http.HandlerFunc(echoBody))
		transport := &http.Transport{DialContext: dialWith(e)}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: patience}
		for range 20 {
			body := string(noise(100_000))
			answer, err := client.Post(url, "application/octet-stream", strings.NewReader(body))
			must(t, err)
			until(t, "the request is written", writerRests)
			got, err := io.ReadAll(answer.Body)
			must(t, err)
			must(t, answer.Body.Close())
			if string(got) != body {
				t.Fatalf("got %d bytes back that differ from the %d sent", len(got), len(body))
			}
		}
		if dialled := e.Stats().Dialled; dialled != 1 {
			t.Errorf("%d connections for 20 requests, want 1", dialled)
		}
	})
}

// TestHTTPTimeout: net/http relies on read deadlines to be rid of silent clients.
func TestHTTPTimeout(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		l := listen(t, e, "tcp")
		server := &http.Server{ReadHeaderTimeout: 50 * time.Millisecond}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		silent := dialPlain(t, l)
		if _, err := io.ReadAll(silent); err != nil {
			t.Errorf("a silent client's connection ends with %v, want EOF", err)
		}
		must(t, server.Close())
		await(t, "end of Serve", ended)
	})
}
