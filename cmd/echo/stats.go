package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/weirnet/weir/engine"
)

// snapshot is what /stats answers.
type snapshot struct {
	Engine  engine.Stats
	Process process
}

// serveStats answers a request for /stats:
//
//	gc=1          collect garbage and give memory back first
//	format=json   JSON, as does "Accept: application/json"; otherwise text
func serveStats(w http.ResponseWriter, r *http.Request, e *engine.Engine) {
	asJSON := strings.Contains(r.Header.Get("Accept"), "application/json")
	switch format := r.FormValue("format"); format {
	case "":
	case "json", "text":
		asJSON = format == "json"
	default:
		http.Error(w, fmt.Sprintf("format %q: must be json or text", format), http.StatusBadRequest)
		return
	}
	if gc := r.FormValue("gc"); gc != "" {
		wanted, err := strconv.ParseBool(gc)
		if err != nil {
			http.Error(w, fmt.Sprintf("gc %q: must be 0 or 1", gc), http.StatusBadRequest)
			return
		}
		if wanted {
			freeMemory()
		}
	}
	document, err := json.MarshalIndent(snapshot{e.Stats(), readProcess()}, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(document, '\n')) // fails when the client has gone
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = writeText(w, document)
}

// writeText writes a JSON document as lines of a path and a number, sorted, so
// that the two formats cannot differ:
//
//	Engine.Closed.peer_closed 12
func writeText(w io.Writer, document []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // a float64 would round session ids
	var root any
	if err := decoder.Decode(&root); err != nil {
		return err
	}
	lines := flatten(nil, "", root)
	slices.Sort(lines)
	_, err := io.WriteString(w, strings.Join(lines, ""))
	return err
}

func flatten(lines []string, path string, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return append(lines, fmt.Sprintf("%s %v\n", path, value))
	}
	for key, inner := range object {
		lines = flatten(lines, strings.TrimPrefix(path+"."+key, "."), inner)
	}
	return lines
}
