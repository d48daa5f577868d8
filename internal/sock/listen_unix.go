//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unix sockets leave a file behind when their server dies, and bind refuses a
// path that exists. So when it does, the file is asked whether somebody still
// listens there; only if nobody does is it removed.

// maxPath is how many bytes the path of a unix socket may have.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// listenUnix binds a unix socket. A name that starts with @ is abstract on
// Linux: it has no file.
func (k *kernel) listenUnix(path string, o ListenOptions) (Listener, error) {
	address := &net.UnixAddr{Name: path, Net: "unix"}
	if path == "" {
		return Listener{}, listenError("unix", address, errors.New("missing address"))
	}
	if len(path) > maxPath {
		return Listener{}, listenError("unix", address,
			fmt.Errorf("path has %d bytes, the system takes %d: %w", len(path), maxPath, unix.ENAMETOOLONG))
	}
	l, err := k.listen("unix", path, o)
	if errors.Is(err, unix.EADDRINUSE) && !isAbstract(path) {
		if staleErr := removeStale(path); staleErr != nil {
			return Listener{}, listenError("unix", address, staleErr)
		}
		l, err = k.listen("unix", path, o)
	}
	if err != nil || isAbstract(path) {
		return l, err
	}
	if l.Unlink, err = filepath.Abs(path); err == nil {
		l.file, err = os.Lstat(path)
	}
	if err != nil {
		unix.Close(l.FD)
		return Listener{}, listenError("unix", address, err)
	}
	return l, nil
}

func isAbstract(path string) bool { return abstractNames && strings.HasPrefix(path, "@") }

// removeStale removes the socket file at path if nobody listens on it.
//
// Two limits. Of two servers that start on one stale file within the same
// moment, the later one may take the path from the earlier. And the BSDs refuse
// a connection when the queue is full, just as if nobody listened; Linux says
// EAGAIN.
func removeStale(path string) error {
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if before.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("file exists and is not a socket: %w", unix.EADDRINUSE)
	}
	switch errno := probe(path); errno {
	case unix.ENOENT:
		return nil
	case unix.ECONNREFUSED:
	case 0, unix.EAGAIN, unix.EINPROGRESS, unix.EPROTOTYPE:
		return os.NewSyscallError("bind", unix.EADDRINUSE)
	default:
		return fmt.Errorf("socket file exists and cannot be probed: %w", os.NewSyscallError("connect", errno))
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
		return os.NewSyscallError("bind", unix.EADDRINUSE)
	}
	return os.Remove(path)
}

// probe tries to connect without waiting and returns what the kernel says:
// EAGAIN for a server whose queue is full, EPROTOTYPE for a socket of another
// type.
func probe(path string) syscall.Errno {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return errnoOf(err)
	}
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return errnoOf(err)
	}
	return errnoOf(unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
}
