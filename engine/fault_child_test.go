package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/session"
)

// Some faults need a process of their own. The test binary is then started again
// with the name of a role in the environment.

const roleVariable = "WEIR_TEST_ROLE"

// roles are what a child can be; arguments come after the name.
var roles = map[string]func(args []string) int{
	"echo":   echoRole,
	"crash":  crashRole,
	"answer": answerRole,
	"tally":  tallyRole,
	"client": clientRole,
	"memory": memoryRole,
	"load":   func(args []string) int { return load.Main(args, os.Stdin, os.Stdout) },
}

// TestRole is the child's side. In any other process there is nothing to do.
func TestRole(t *testing.T) {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		return
	}
	args := role[1:]
	for i, arg := range os.Args {
		if arg == "--" {
			args = append(args, os.Args[i+1:]...)
			break
		}
	}
	os.Exit(roles[role[0]](args))
}

// roleArgs are the arguments that lead a child to TestRole.
var roleArgs = []string{"-test.run=^TestRole$", "--"}

// child is a process in a role. It ends when its standard input does.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *strings.Builder
}

func startChild(t *testing.T, role ...string) *child {
	t.Helper()
	return startChildUnder(t, nil, role...)
}

// startChildUnder has a tool start the child: its words come before the child's own.
func startChildUnder(t *testing.T, tool []string, role ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	words := append(append(tool[:len(tool):len(tool)], exe), roleArgs...)
	c := &child{Cmd: exec.Command(words[0], words[1:]...), stderr: new(strings.Builder)}
	c.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "))
	c.Stderr = c.stderr
	c.stdin, err = c.StdinPipe()
	must(t, err)
	stdout, err := c.StdoutPipe()
	must(t, err)
	c.stdout = bufio.NewReader(stdout)
	must(t, c.Start())
	t.Cleanup(func() {
		c.stdin.Close()
		_ = c.Process.Kill() // it may have ended by itself
		_ = c.Wait()
	})
	return c
}

// line returns the next line of the child's output.
func (c *child) line(t *testing.T) string {
	t.Helper()
	text, err := c.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("child: %v; its standard error:\n%s", err, c.stderr)
	}
	return strings.TrimSpace(text)
}

// echoRole serves echo, tells its address, and ends with its input. An argument
// limits the descriptors that it may have open.
func echoRole(args []string) int {
	if len(args) == 1 {
		if err := limitFiles(args[0]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	e, err := engine.New(engine.WithLoops(2))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := e.Listen("tcp", "127.0.0.1:0", newEcho())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := e.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	st := e.Stats()
	fmt.Printf("accepted %d pauses %d\n", st.Accepted, st.AcceptPauses)
	return 0
}

// crashRole panics in a handler, with the option that lets it, in pool mode if it has
// an argument.
func crashRole(args []string) int {
	mode := engine.Inline
	if len(args) > 0 {
		mode = engine.Pool
	}
	e, err := engine.New(engine.WithMode(mode), engine.WithCrashOnPanic())
	if err != nil {
		return 3
	}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(*session.Session, session.Frame) {
		panic("crash as asked")
	}))
	if err != nil {
		return 3
	}
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// newEcho is the plainest handler.
func newEcho() session.Handler {
	return session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
}
