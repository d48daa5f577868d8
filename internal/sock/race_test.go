//go:build race && (darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sock

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRacesAreSeen runs programs that use a buffer while a call works on it, and
// expects the race detector to say so.
func TestRacesAreSeen(t *testing.T) {
	for _, call := range []string{"Recv", "Send", "Sendv"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRacyProgram$")
		cmd.Env = append(os.Environ(), "SOCK_RACY_CALL="+call)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "DATA RACE") {
			t.Errorf("%s: %v, no race in:\n%s", call, err, out)
		}
	}
}

// TestRacyProgram is what TestRacesAreSeen runs; alone it has nothing to do.
func TestRacyProgram(t *testing.T) {
	call := os.Getenv("SOCK_RACY_CALL")
	if call == "" {
		return
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fds[1], []byte("incoming")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	var both sync.WaitGroup
	both.Go(func() {
		switch call {
		case "Recv":
			Kernel().Recv(fds[0], buf)
		case "Send":
			Kernel().Send(fds[0], buf)
		case "Sendv":
			Kernel().Sendv(fds[0], [][]byte{buf})
		}
	})
	both.Go(func() { buf[3] = 'x' })
	both.Wait()
}
