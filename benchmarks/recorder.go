package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
)

// recorder keeps what a run finds: in a file of JSON lines, unless it has no path, and in
// seen, as if the file had been read again. The first error stays and is what close
// returns.
type recorder struct {
	file *os.File
	seen results
	err  error
}

// createResults creates the file, and its directory if need be.
func createResults(path string) (*recorder, error) {
	if path == "" {
		return &recorder{}, nil
	}
	return openResults(path, os.O_TRUNC)
}

// createNewResults is the same for a file that must not be there yet.
func createNewResults(path string) (*recorder, error) { return openResults(path, os.O_EXCL) }

func openResults(path string, flag int) (*recorder, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return nil, err
	}
	return &recorder{file: f, seen: results{name: filepath.Base(path)}}, nil
}

func (r *recorder) write(kind string, value any) error {
	if r.err != nil {
		return r.err
	}
	var b []byte
	if b, r.err = json.Marshal(value); r.err != nil {
		return r.err
	}
	if r.err = r.seen.take(kind, b); r.err != nil || r.file == nil {
		return r.err
	}
	r.err = json.NewEncoder(r.file).Encode(map[string]any{"kind": kind, "value": json.RawMessage(b)})
	return r.err
}

func (r *recorder) close() error {
	if r.file == nil {
		return r.err
	}
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}

// begin is what commands that measure servers begin with: it returns this program, which is
// the servers' and the load's too, and a recorder that has the setting.
func begin(path string, out io.Writer) (exe string, results *recorder, err error) {
	if exe, err = os.Executable(); err != nil {
		return "", nil, err
	}
	if results, err = createResults(path); err != nil {
		return "", nil, err
	}
	results.tellSetting(out, readSetting(commandLine()))
	return exe, results, nil
}

// tellEnd records that the run was interrupted, if it was.
func (r *recorder) tellEnd(ctx context.Context) {
	if ctx.Err() != nil {
		r.write("note", noteLine{"Interrupted: there is only what was measured until then, and fewer rounds of the last cell."})
	}
}

// tellSetting records and prints what the results depend on.
func (r *recorder) tellSetting(out io.Writer, s setting) {
	r.write("setting", s)
	printSetting(out, s)
}

// tellSummaries records and prints what the rounds say.
func (r *recorder) tellSummaries(out io.Writer) {
	all := r.seen.summaries()
	for _, s := range all {
		r.write("summary", s)
	}
	printTable(out, all)
}
