//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// process is what the kernel says of a process.
type process struct {
	resident    int64 // bytes
	descriptors int
	sockets     int // of these
	threads     int
}

// readProcess asks from outside, so that looking takes nothing of the process's.
func readProcess(pid int) (p process, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	if p.resident, err = residentOf(dir); err != nil {
		return p, err
	}
	tasks, err := os.ReadDir(dir + "task")
	if err != nil {
		return p, err
	}
	p.threads = len(tasks)
	descriptors, err := os.ReadDir(dir + "fd")
	if err != nil {
		return p, err
	}
	p.descriptors = len(descriptors)
	for _, d := range descriptors {
		if to, err := os.Readlink(dir + "fd/" + d.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			p.sockets++
		}
	}
	return p, nil
}

// residentOf counts pages one by one. What status says is quicker, and off by some
// hundred KiB: it adds up what each processor has counted so far.
func residentOf(dir string) (int64, error) {
	text, err := os.ReadFile(dir + "smaps_rollup")
	if err != nil {
		return 0, err
	}
	_, after, found := bytes.Cut(text, []byte("\nRss:"))
	fields := bytes.Fields(after)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("%ssmaps_rollup says nothing of Rss", dir)
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}

// kernelDiffers names the sessions of which the kernel has not counted as many bytes as
// the engine has, in either direction. Nothing must be under way.
func kernelDiffers(e *engine.Engine) (wrong []string) {
	e.Sessions(func(s *session.Session) bool {
		info, err := tcpInfo(s)
		st := s.Stats()
		in, out := st.BytesIn+uint64(st.Unread), st.BytesOut
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("session %d: %v", s.ID(), err))
		case info.Bytes_received != in || info.Bytes_sent-info.Bytes_retrans != out:
			wrong = append(wrong, fmt.Sprintf("session %d: in %d, out %d; the kernel says in %d, out %d and again %d",
				s.ID(), in, out, info.Bytes_received, info.Bytes_sent, info.Bytes_retrans))
		}
		return true
	})
	return wrong
}

func tcpInfo(s *session.Session) (info *unix.TCPInfo, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	failed := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
	})
	if failed != nil {
		return nil, failed
	}
	return info, err
}
