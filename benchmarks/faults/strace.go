//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// strace puts itself between a server and the kernel for some system calls. Others
// go to the kernel at full speed (--seccomp-bpf).
type strace struct {
	file string // where it writes
	tool []string
}

// newStrace returns the tool for these calls. Rules, if any, are injected: each is
// what follows -e inject=CALLS: in strace(1).
func newStrace(dir string, calls []string, rules ...string) (*strace, error) {
	f, err := os.CreateTemp(dir, "strace")
	if err != nil {
		return nil, err
	}
	f.Close()
	set := "?" + strings.Join(calls, ",?") // a call that this machine lacks is no error
	s := &strace{file: f.Name()}
	s.tool = []string{"strace", "--seccomp-bpf", "-f", "-ttt", "-o", s.file, "-e", "trace=" + set, "-e", "signal=none"}
	for _, rule := range rules {
		s.tool = append(s.tool, "-e", "inject="+set+":"+rule)
	}
	return s, nil
}

// traced is one system call that strace saw end.
type traced struct {
	at       time.Time
	call     string
	errno    string // empty: none
	injected bool
}

// read returns the calls seen so far.
func (s *strace) read() ([]traced, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseStrace(f), nil
}

// tracedLine is pid, time, call — whole, or the end of one that others interrupted —
// result and, after an error, its name.
var tracedLine = regexp.MustCompile(`^\d+\s+(\d+)\.(\d{6}) (?:<\.\.\. (\w+) resumed>|(\w+)\().*= (-?\d+)(?: ([A-Z][A-Z0-9]*) \(.*?\))?(?: .*)?$`)

// parseStrace reads strace's output. Lines that are no end of a call are left out.
func parseStrace(r io.Reader) (calls []traced) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		m := tracedLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		seconds, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			continue
		}
		micros, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			continue
		}
		calls = append(calls, traced{
			at: time.Unix(seconds, micros*1000), call: m[3] + m[4], errno: m[6],
			injected: strings.HasSuffix(lines.Text(), "(INJECTED)"),
		})
	}
	return calls
}

// injectedSince counts the calls that strace made fail with errno from a moment on.
func injectedSince(calls []traced, errno string, since time.Time) (n int) {
	for _, c := range calls {
		if c.injected && c.errno == errno && !c.at.Before(since) {
			n++
		}
	}
	return n
}

// lacks tells why a tool cannot be used here; empty if it can.
func (b *bench) lacks(tool string) string {
	if why, known := b.tools[tool]; known {
		return why
	}
	b.tools[tool] = examine(tool)
	return b.tools[tool]
}

func examine(tool string) string {
	if tool == cgroupTool {
		return examineCgroup()
	}
	if _, err := exec.LookPath(tool); err != nil {
		return fmt.Sprintf("%s is not installed", tool)
	}
	switch tool {
	case "strace":
	case "nft":
		return ownNetworkWorks()
	default:
		return ""
	}
	out, err := exec.Command("strace", "--seccomp-bpf", "-f", "-o", "/dev/null", "-e", "trace=getppid", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("strace does not work: %v: %s", err, firstLine(string(out)))
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
