package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// The echo server on Asio is C++, and built when it is needed: with Debian's packages, or
// whatever else gives a g++ that finds asio.hpp. What was built is kept, by what it was
// built from, among the user's caches.

//go:embed asio/echo.cpp
var asioSource []byte

var asioFlags = []string{"-std=c++17", "-O2", "-pthread"}

// buildAsio returns the program and its arguments. Without a compiler or the library it is
// missing, which is no error of ours.
func buildAsio(ctx context.Context) (program string, args []string, err error) {
	if runtime.GOOS != "linux" {
		return "", nil, &serving.Missing{Why: "asio/echo.cpp is written for Linux"}
	}
	compiler, err := exec.LookPath("g++")
	if err != nil {
		return "", nil, &serving.Missing{Why: "no g++ to build the echo server on Asio", Type: "apt-get install g++ libasio-dev"}
	}
	directory, err := asioCache(compiler)
	if err != nil {
		return "", nil, err
	}
	program = filepath.Join(directory, "echo")
	args = []string{strconv.Itoa(runtime.GOMAXPROCS(0))}
	if _, err := os.Stat(program); err == nil {
		return program, args, nil
	}
	return program, args, compileAsio(ctx, compiler, directory, program)
}

// asioCache is the directory for what this compiler makes of this source.
func asioCache(compiler string) (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		caches = os.TempDir()
	}
	h := sha256.New()
	fmt.Fprint(h, compiler, output(compiler, "-dumpfullversion"), asioFlags)
	h.Write(asioSource)
	directory := filepath.Join(caches, "weir-benchmarks", fmt.Sprintf("asio-%x", h.Sum(nil)[:8]))
	return directory, os.MkdirAll(directory, 0o755)
}

func compileAsio(ctx context.Context, compiler, directory, program string) error {
	source := filepath.Join(directory, "echo.cpp")
	if err := os.WriteFile(source, asioSource, 0o644); err != nil {
		return err
	}
	half := program + ".part" // renamed when whole, in case the compiler is interrupted
	said, err := exec.CommandContext(ctx, compiler, append(asioFlags, "-o", half, source)...).CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return &serving.Missing{Why: "the echo server on Asio does not compile: " + firstLine(said), Type: "apt-get install g++ libasio-dev"}
	}
	if err != nil {
		return err
	}
	return os.Rename(half, program)
}
