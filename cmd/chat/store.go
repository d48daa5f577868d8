package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A store keeps what was said in files, one per room, a line of JSON per message. A
// message is written before anybody is told of it: the end of the process loses nothing
// that somebody has seen. (The end of the machine may. That would cost an fsync each.)
type store struct {
	dir  string // "": nothing is kept
	keep int    // messages per room
}

// journal is a room's open file; nil if nothing is kept.
type journal struct{ file *os.File }

// open returns what the room remembers, the oldest first, and where to add to it. The
// file begins anew with just that, so it does not grow for ever.
func (st store) open(room string) ([]event, *journal, error) {
	if st.dir == "" {
		return nil, nil, nil
	}
	path := filepath.Join(st.dir, room+".jsonl")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	said := st.parse(old)
	if err := os.MkdirAll(st.dir, 0o755); err != nil {
		return nil, nil, err
	}
	fresh := path + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	w := bufio.NewWriter(file)
	for _, e := range said {
		fmt.Fprintf(w, "%s\n", line(e))
	}
	if err := errors.Join(w.Flush(), os.Rename(fresh, path)); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return said, &journal{file}, nil
}

// parse returns the last messages of a file. The last line may have been cut short.
func (st store) parse(p []byte) (said []event) {
	for text := range bytes.Lines(p) {
		var e event
		if json.Unmarshal(text, &e) == nil && e.Is == "said" {
			said = append(said, e)
		}
	}
	return said[max(0, len(said)-st.keep):]
}

// add writes a message, in one call.
func (j *journal) add(e event) error {
	if j == nil {
		return nil
	}
	_, err := j.file.Write(append(line(e), '\n'))
	return err
}

func (j *journal) close() {
	if j != nil {
		_ = j.file.Close() // nothing is left to write
	}
}
