package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A store keeps what was said in files, one per room: the room's life, and a line of JSON
// per message. A message is written before anybody is told of it: the end of the process
// loses nothing that somebody has seen. (The end of the machine may. That would cost an
// fsync each.)
type store struct {
	dir  string // "": nothing is kept
	keep int    // messages per room
}

// A past is what a room remembers.
type past struct {
	life string  // within which seq rises; see wire.go
	said []event // the oldest first
}

// lines is the past as a file has it.
func (p past) lines() []byte {
	text := append(line(event{Is: "life", Life: p.life}), '\n')
	for _, e := range p.said {
		text = append(append(text, line(e)...), '\n')
	}
	return text
}

// journal is a room's open file; nil if nothing is kept.
type journal struct{ file *os.File }

// open returns what the room remembers, and where to add to it. The file begins anew with
// just that, so it does not grow for ever. A room without a life gets one.
func (st store) open(room string) (past, *journal, error) {
	if st.dir == "" {
		return past{life: rand.Text()}, nil, nil
	}
	path := filepath.Join(st.dir, room+".jsonl")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return past{}, nil, err
	}
	p := st.parse(old)
	if p.life == "" {
		p.life = rand.Text()
	}
	if err := os.MkdirAll(st.dir, 0o755); err != nil {
		return past{}, nil, err
	}
	fresh := path + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return past{}, nil, err
	}
	if _, err = file.Write(p.lines()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return past{}, nil, errors.Join(err, file.Close())
	}
	return p, &journal{file}, nil
}

// parse returns the life and the last messages of a file. The last line may have been cut
// short.
func (st store) parse(file []byte) (p past) {
	for text := range bytes.Lines(file) {
		var e event
		switch {
		case json.Unmarshal(text, &e) != nil:
		case e.Is == "life":
			p.life = e.Life
		case e.Is == "said":
			p.said = append(p.said, e)
		}
	}
	p.said = p.said[max(0, len(p.said)-st.keep):]
	return p
}

// add writes a message, in one call. What was written of one that failed it takes back:
// the next one must not stand behind a half.
func (j *journal) add(e event) error {
	if j == nil {
		return nil
	}
	n, err := j.file.Write(append(line(e), '\n'))
	if err == nil {
		return nil
	}
	end, undo := j.file.Seek(int64(-n), io.SeekCurrent)
	if undo == nil {
		undo = j.file.Truncate(end)
	}
	return errors.Join(err, undo)
}

func (j *journal) close() {
	if j != nil {
		_ = j.file.Close() // nothing is left to write
	}
}
