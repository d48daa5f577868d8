//go:build linux

package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// setting is what results depend on besides the code.
type setting struct {
	Date   string `json:"date"`
	Commit string `json:"commit"`
	Go     string `json:"go"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
}

func readSetting() setting {
	return setting{
		Date: time.Now().UTC().Format(time.DateOnly), Commit: commit(), Go: runtime.Version(),
		Kernel: output("uname", "-sr"), CPU: processor(), CPUs: runtime.NumCPU(),
	}
}

// commit is the one checked out in the working directory, and whether files that
// it knows have been changed since.
func commit() string {
	hash := output("git", "rev-parse", "--short=12", "HEAD")
	if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
		hash += " with changes"
	}
	return hash
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// output is what a command prints, on one line.
func output(name string, args ...string) string {
	text, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
