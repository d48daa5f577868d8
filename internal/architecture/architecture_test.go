// Package architecture holds no code: its test keeps the directions in which
// weir's packages may import each other.
package architecture

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weirnet/weir/"

// allowed lists, for each package that users build on, what it may import of
// weir and of other modules. The standard library is always allowed.
var allowed = map[string][]string{
	"poller":             {"internal/sock", "golang.org/x/sys/unix"},
	"buffer":             {},
	"session/frame":      {"buffer"},
	"session":            {"buffer", "session/frame", "internal/fifo", "internal/rate", "internal/sock", "internal/transport"},
	"session/message":    {"session"},
	"session/netconn":    {"session", "internal/transport"},
	"engine":             {"poller", "buffer", "session", "internal/sock", "internal/transport", "internal/fifo", "internal/rate", "internal/inject", "internal/memlimit", "github.com/rs/zerolog", "github.com/panjf2000/ants/v2"},
	"engine/metrics":     {"engine"},
	"internal/sock":      {"golang.org/x/sys/unix"},
	"internal/transport": {"buffer", "internal/rate", "internal/sock"},
	"internal/rate":      {},
	"internal/fuzz":      {},
	"internal/inject":    {"poller", "internal/sock"},
	"internal/memlimit":  {"golang.org/x/sys/unix"},

	"session/message/rpc":      {"session", "session/frame", "session/message"},
	"session/message/cbor":     {"session/message", "github.com/fxamacker/cbor/v2"},
	"session/message/msgpack":  {"session/message", "github.com/vmihailenco/msgpack/v5", "github.com/vmihailenco/msgpack/v5/msgpcode"},
	"session/message/protobuf": {"session/message", "google.golang.org/protobuf/encoding/protowire"},
}

func TestDoorsOpenDownward(t *testing.T) {
	for pkg, may := range allowed {
		for _, imported := range imports(t, "{{join .Imports \"\\n\"}}", "./"+pkg) {
			name := strings.TrimPrefix(imported, module)
			if isStandard(imported) || slices.Contains(may, name) {
				continue
			}
			t.Errorf("%s imports %s, which is not in its list", pkg, name)
		}
	}
}

// TestCoreDependencies keeps what a user of the engine has to download.
func TestCoreDependencies(t *testing.T) {
	modules := []string{
		"golang.org/x/sys", "github.com/rs/zerolog", "github.com/panjf2000/ants/v2",
		"golang.org/x/sync",                                           // ants' own
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty", // zerolog's own
	}
	for _, imported := range imports(t, "{{join .Deps \"\\n\"}}", "./engine") {
		if isStandard(imported) || strings.HasPrefix(imported, module) {
			continue
		}
		if !slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(imported+"/", m+"/") }) {
			t.Errorf("engine depends on %s, of a module that is not in the list", imported)
		}
	}
}

// TestCoreServesNothing: package expvar, when imported, adds a handler to the default
// HTTP server of the program.
func TestCoreServesNothing(t *testing.T) {
	for _, imported := range imports(t, "{{join .Deps \"\\n\"}}", "./engine") {
		if imported == "expvar" || imported == "net/http" {
			t.Errorf("engine depends on %s", imported)
		}
	}
}

func imports(t *testing.T, format, pkg string) []string {
	t.Helper()
	list := exec.Command("go", "list", "-f", format, pkg)
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// isStandard tells the standard library's packages, whose first element has no
// dot, from those of modules.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
