//go:build linux

package main

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A network of its own: a namespace in which packets can be dropped without anybody else
// noticing. It belongs to a thread, and to the processes that are started on it.

// inOwnNetwork calls f on a thread with a network of its own, which has nothing but a
// loopback interface. Sockets that f itself makes are in there, too. The network ends with
// the thread, and the processes.
func inOwnNetwork(f func()) error {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- fmt.Errorf("unshare: %w", err)
			return
		}
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			failed <- fmt.Errorf("ip link set lo up: %w: %s", err, firstLine(string(out)))
			return
		}
		f()
		failed <- nil
	}()
	return <-failed
}

// drop has the network lose all packets from and to a port. On the thread of its network.
func drop(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	return nft(fmt.Sprintf(`table inet faults {
	chain lose {
		type filter hook output priority 0
		tcp dport %s drop
		tcp sport %s drop
	}
}
`, port, port))
}

// undrop ends that.
func undrop() error { return nft("delete table inet faults\n") }

func nft(rules string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, firstLine(string(out)))
	}
	return nil
}

// ownNetworkWorks tells why there can be none; empty if there can.
func ownNetworkWorks() string {
	var rules error
	err := inOwnNetwork(func() { rules = drop("127.0.0.1:9") })
	switch {
	case err != nil:
		return "no network namespace: " + err.Error()
	case rules != nil:
		return rules.Error()
	}
	return ""
}
