package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// versions are two builds of the servers with weir in them: of this tree, and of another
// commit. Both are built from the servers of this tree, so that only weir differs.
type versions struct {
	ref   string // as it was given, resolved to a short hash
	here  string // programs
	there string

	directory string
	tree      string // the worktree of the other commit
}

// buildVersions checks the commit out beside, and builds both. Call remove at the end.
func buildVersions(ctx context.Context, ref string) (v *versions, err error) {
	hash, err := run1(ctx, "", "git", "rev-parse", "--verify", "--short=12", ref+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("compare: no commit %q: %w", ref, err)
	}
	directory, err := os.MkdirTemp("", "weir-compare-")
	if err != nil {
		return nil, err
	}
	v = &versions{
		ref: hash, directory: directory, tree: filepath.Join(directory, "tree"),
		here: filepath.Join(directory, "here"), there: filepath.Join(directory, "there"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.remove())
		}
	}()
	if _, err := run1(ctx, "", "git", "worktree", "add", "--detach", v.tree, hash); err != nil {
		return nil, err
	}
	modules := filepath.Join(directory, "go.mod")
	if err := v.copyModule(ctx, modules); err != nil {
		return nil, err
	}
	if _, err := run1(ctx, "", "go", "build", "-o", v.here, "./weirserve"); err != nil {
		return nil, err
	}
	if _, err := run1(ctx, "", "go", "build", "-mod=mod", "-modfile="+modules, "-o", v.there, "./weirserve"); err != nil {
		return nil, fmt.Errorf("compare: the servers of this tree do not build with weir at %s: %w", hash, err)
	}
	return v, nil
}

// copyModule makes a go.mod, with its go.sum, in which weir is that of the other commit.
func (v *versions) copyModule(ctx context.Context, path string) error {
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), b, 0o644); err != nil {
			return err
		}
	}
	_, err := run1(ctx, "", "go", "mod", "edit", "-replace=github.com/weirnet/weir="+v.tree, path)
	return err
}

// remove takes everything away again.
func (v *versions) remove() error {
	_, err := run1(context.Background(), "", "git", "worktree", "remove", "--force", v.tree)
	if _, missing := os.Stat(v.tree); errors.Is(missing, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(v.directory))
}

// run1 runs a command and returns what it prints, on one line; the error has what it says.
func run1(ctx context.Context, directory, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = directory
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// start starts a server of one of the versions: NAME is of here, NAME@REF of there.
func (v *versions) start(ctx context.Context, name string, hub ...string) (*server, error) {
	server, at, other := strings.Cut(name, "@")
	program := v.here
	if other {
		program = v.there
		if at != v.ref {
			return nil, fmt.Errorf("compare: no version %q", at)
		}
	}
	args := []string{server}
	if len(hub) > 0 {
		args = append([]string{fanoutRequest, server}, hub...)
	}
	return startProcess(ctx, name, program, args...)
}
