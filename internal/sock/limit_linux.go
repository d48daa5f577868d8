package sock

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Somaxconn is the longest queue of connections that wait to be accepted.
func Somaxconn() (int, error) {
	numbers, err := readNumbers("/proc/sys/net/core/somaxconn", 1)
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

// PortRange is the range of ports that dialled connections take, both ends
// included.
func PortRange() (lo, hi int, err error) {
	numbers, err := readNumbers("/proc/sys/net/ipv4/ip_local_port_range", 2)
	if err != nil {
		return 0, 0, err
	}
	return numbers[0], numbers[1], nil
}

// readNumbers reads a file that holds count numbers and nothing else.
func readNumbers(path string, count int) ([]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text))
	if len(fields) != count {
		return nil, fmt.Errorf("sock: %s: %q: want %d numbers", path, text, count)
	}
	numbers := make([]int, count)
	for i, field := range fields {
		if numbers[i], err = strconv.Atoi(field); err != nil {
			return nil, fmt.Errorf("sock: %s: %w", path, err)
		}
	}
	return numbers, nil
}
