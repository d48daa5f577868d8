//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram in the environment makes the test binary the program itself, and so
// also the load process that the demo starts.
const asProgram = "ECHO_TEST_AS_PROGRAM"

// patience bounds what should take much less.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is the program with args, in a process group of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0") // a race build would end a second late
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// runToEnd runs the program and returns what it wrote and its exit code.
func runToEnd(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	_ = cmd.Run() // the exit code says more
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

// running is the program while it runs.
type running struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner // of standard output
	read  strings.Builder
	errs  bytes.Buffer // standard error; complete after end
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	p := prepare(t, args...)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.begin(out)
	return p
}

// startInStep is start of a program that does not get far ahead of what is read of it: it
// has not ended when a line is seen that it writes long before its last ones, however late
// that is.
func startInStep(t *testing.T, args ...string) *running {
	t.Helper()
	p := prepare(t, args...)
	r, w, err := stepPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close() // the program has it
	p.Stdout = w
	p.begin(bufio.NewReaderSize(r, 64<<10)) // all of a packet at once; the rest would be lost
	return p
}

func prepare(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{Cmd: command(t, args...), t: t}
	p.Stderr = &p.errs
	return p
}

func (p *running) begin(out io.Reader) {
	p.t.Helper()
	p.lines = bufio.NewScanner(out)
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = p.Process.Kill() // it has ended, unless the test failed
		_ = p.Wait()
	})
}

// await reads lines until one matches, and returns its first group.
func (p *running) await(pattern string) string {
	p.t.Helper()
	wanted := regexp.MustCompile(pattern)
	for p.lines.Scan() {
		p.read.WriteString(p.lines.Text() + "\n")
		if found := wanted.FindStringSubmatch(p.lines.Text()); found != nil {
			return found[len(found)-1]
		}
	}
	p.t.Fatalf("no line like %q in %q", pattern, p.read.String())
	return ""
}

// end sends a signal and returns the rest of the output, once the process has
// ended with that code.
func (p *running) end(s os.Signal, code int) string {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.awaitEnd(code)
}

func (p *running) awaitEnd(code int) string {
	p.t.Helper()
	var rest strings.Builder
	for p.lines.Scan() {
		rest.WriteString(p.lines.Text() + "\n")
	}
	_ = p.Wait() // the exit code says more
	if got := p.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d; output %q, standard error %q", got, code, rest.String(), p.errs.String())
	}
	return rest.String()
}

// withoutWatchdog is what a program says, but for what its engine's watchdog says: on a
// machine that does not let a loop run it is right to.
func withoutWatchdog(text string) string {
	var others strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, `"message":"blocked_loop"`) && !strings.Contains(line, `"message":"blocked_handler"`) {
			others.WriteString(line)
		}
	}
	return others.String()
}

// checkOneLine reports all but one line that contains the parts.
func checkOneLine(t *testing.T, text string, parts ...string) {
	t.Helper()
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Errorf("want one line, got %q", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in %q", part, text)
		}
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
