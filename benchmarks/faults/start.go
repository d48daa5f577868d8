//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Row 51: a server that cannot start.

// echoProgram is what a user starts.
const echoProgram = "github.com/weirnet/weir/cmd/echo"

func startsBadly(s *scene) {
	program := filepath.Join(s.dir, "echo")
	ctx, cancel := context.WithTimeout(context.Background(), sceneMax)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, echoProgram).CombinedOutput(); err != nil {
		s.Cannot = "go build: " + err.Error() + ": " + firstLine(string(out))
		return
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.fail("%v", err)
		return
	}
	defer taken.Close()
	inUse := taken.Addr().String()
	mode := "-mode=" + strings.TrimPrefix(strings.TrimPrefix(s.kind.name, "weir"), "-")
	if s.kind.pool {
		mode = "-mode=pool"
	}
	starts := []struct{ field, value string }{
		{"addr", inUse},
		{"addr", "127.0.0.1:70000"},
		{"addr", "127.0.0.1"},
		{"addr", "192.0.2.1:7"},
		{"addr", "unix:/nonexistent/socket"},
		{"debug", inUse},
		{"mode", "triple"},
		{"loops", "-3"},
		{"loops", "300"},
		{"idle", "1ns"},
		{"stall", "-1s"},
		{"spin", "1h"},
		{"log", "loud"},
	}
	good, wrong := 0, ""
	for _, start := range starts {
		args := []string{mode, "-addr=127.0.0.1:0", "-" + start.field + "=" + start.value}
		if why := badStart(ctx, program, args, start.field, start.value); why != "" {
			wrong = fmt.Sprintf("-%s=%s: %s", start.field, start.value, why)
			continue
		}
		good++
	}
	s.see("%d of %d starts failed as they should", good, len(starts))
	s.require(good == len(starts), "%d did not, one of them %s", len(starts)-good, wrong)
}

// badStart runs the program and tells what is wrong with how it fails; empty if
// nothing is.
func badStart(ctx context.Context, program string, args []string, field, value string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	var failed *exec.ExitError
	text := said.String()
	switch {
	case ctx.Err() != nil:
		return "it runs"
	case !errors.As(err, &failed):
		return "exit code 0"
	case strings.Count(text, "\n") != 1:
		return "not one line: " + strings.ReplaceAll(text, "\n", `\n`)
	case !strings.Contains(text, "-"+field) || !strings.Contains(text, value):
		return "names not field and value: " + strings.TrimSpace(text)
	}
	return ""
}
