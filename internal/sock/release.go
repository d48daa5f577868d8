package sock

import (
	"errors"
	"io/fs"
	"os"
)

// Release closes the listener and removes its socket file, if it has one and
// the file at that path is still the one that Listen made. The file goes first:
// while the socket is open, no other file can have its identity.
func (l Listener) Release(sys System) error {
	err := l.removeFile()
	if errno := sys.Close(l.FD); errno != 0 {
		err = errors.Join(err, os.NewSyscallError("close", errno))
	}
	return err
}

// removeFile removes the socket file unless it is gone or somebody else's.
func (l Listener) removeFile() error {
	if l.Unlink == "" || l.file == nil {
		return nil
	}
	now, err := os.Lstat(l.Unlink)
	if err == nil && os.SameFile(l.file, now) {
		err = os.Remove(l.Unlink)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
