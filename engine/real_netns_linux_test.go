package engine_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Some faults need a network of their own, in which packets get lost. The test binary is
// started again in one, for that test only.

const networkVariable = "WEIR_TEST_NETWORK"

// ownNetwork tells whether the test runs in a network of its own, where it may do as it
// likes. If not, it has run there when ownNetwork returns, and there is nothing left to do.
// It takes root, and the commands ip and nft.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkVariable) != "" {
		command(t, "ip", "link", "set", "lo", "up")
		command(t, "nft", "add", "table", "inet", "weir")
		command(t, "nft", "add", "chain", "inet", "weir", "in", "{ type filter hook input priority 0; }")
		return true
	}
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("NOT TESTED: packets cannot be lost without the command %s (Debian: iproute2, nftables): %v", name, err)
		}
	}
	exe, err := os.Executable()
	must(t, err)
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), networkVariable+"=own")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("NOT TESTED: a network of its own takes root: %v", err)
		}
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	t.Logf("in a network of its own:\n%s", &out)
	return false
}

// lose has packets that come in and match be lost from now on.
func lose(t *testing.T, match ...string) {
	t.Helper()
	command(t, "nft", append(append([]string{"add", "rule", "inet", "weir", "in"}, match...), "counter", "drop")...)
}

// loseNothing ends lose.
func loseNothing(t *testing.T) {
	t.Helper()
	command(t, "nft", "flush", "chain", "inet", "weir", "in")
}

// lostSome tells whether any packet was lost since loseNothing.
func lostSome(t *testing.T) bool {
	t.Helper()
	rules := command(t, "nft", "list", "chain", "inet", "weir", "in")
	return strings.Contains(rules, "counter packets") && strings.Contains(strings.ReplaceAll(rules, "counter packets 0 ", ""), "counter packets")
}

func command(t *testing.T, name string, args ...string) (output string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
