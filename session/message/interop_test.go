package message_test

// Python, which knows nothing of weir, reads and writes the same messages: with its standard
// library, and with the libraries that Debian has. testdata/interop is the program.

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

// toolsVariable says, if it is "required", that tools that are not there are a failure.
const toolsVariable = "WEIR_TEST_TOOLS"

// python returns the command of a Python that has a module, or skips the test. Debian's modules
// are those of /usr/bin/python3, which need not be the first one.
func python(t *testing.T, module, pkg string) string {
	t.Helper()
	why := ""
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			why += "\n" + err.Error()
			continue
		}
		try := exec.CommandContext(t.Context(), path, "-c", "import "+module)
		try.Dir = "testdata" // here our own directory msgpack would do for a module
		out, err := try.CombinedOutput()
		if err == nil {
			return path
		}
		why += "\n" + path + ": " + strings.TrimSpace(string(out))
	}
	format := "SKIPPED, NOT PROVEN: there is no Python 3 with module %s (Debian packages python3, %s):%s"
	if os.Getenv(toolsVariable) == "required" {
		t.Fatalf(format, module, pkg, why)
	}
	t.Skipf(format, module, pkg, why)
	return ""
}

// interop has Python read or write a list.
func interop(t *testing.T, command, direction, format string, given, result any) {
	t.Helper()
	in, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command, "-B", "testdata/interop", direction, format)
	var out, failure bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &failure
	if err := cmd.Run(); err != nil {
		t.Fatalf("python cannot %s %s: %v\n%s", direction, format, err, failure.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		t.Fatal(err)
	}
}

// random returns so many messages, always the same.
func random(n int) []*message.Message {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]*message.Message, n)
	for i := range all {
		data := make([]byte, r.IntN(300))
		for j := range data {
			data[j] = byte(r.Uint32())
			if r.IntN(2) == 0 { // short texts, and all types of values
				data[j] %= 16
			}
		}
		all[i] = messagetest.FromBytes(data)
	}
	return all
}

func TestPython(t *testing.T) {
	var all []*message.Message
	for _, n := range messagetest.Messages() {
		all = append(all, n.Message)
	}
	all = append(all, random(200)...)
	tools := map[string][2]string{
		"binary":   {"struct", "python3"},
		"json":     {"json", "python3"},
		"xml":      {"xml.etree", "python3"},
		"cbor":     {"cbor2", "python3-cbor2"},
		"msgpack":  {"msgpack", "python3-msgpack"},
		"protobuf": {"google.protobuf", "python3-protobuf"},
	}
	// One way to write a message, by the format or because both write the shortest.
	same := []string{"binary", "msgpack", "protobuf"}
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			command := python(t, tools[f.name][0], tools[f.name][1])
			sayings := make([]said, len(all))
			ours := make([]string, len(all))
			for i, m := range all {
				sayings[i] = say(m)
				ours[i] = hex.EncodeToString(messagetest.Encode(t, f, m))
			}

			var read []json.RawMessage
			interop(t, command, "read", f.name, ours, &read)
			if len(read) != len(all) {
				t.Fatalf("it has read %d of %d messages", len(read), len(all))
			}
			for i, got := range read {
				want, err := json.Marshal(sayings[i])
				if err != nil {
					t.Fatal(err)
				}
				if !equalJSON(t, got, want) {
					t.Errorf("of %s\nit reads %.2000s\n    want %.2000s", ours[i][:min(len(ours[i]), 2000)], got, want)
				}
			}

			var written []string
			interop(t, command, "write", f.name, sayings, &written)
			if len(written) != len(all) {
				t.Fatalf("it has written %d of %d messages", len(written), len(all))
			}
			for i, text := range written {
				p, err := hex.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				messagetest.CheckParse(t, f, p, all[i])
				if slices.Contains(same, f.name) && text != ours[i] {
					t.Errorf("it writes %.2000s\n      we %.2000s", text, ours[i])
				}
			}
		})
	}
}

// equalJSON compares texts but for spaces and escapes.
func equalJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	normal := func(text []byte) []byte {
		var s said
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	return bytes.Equal(normal(a), normal(b))
}
