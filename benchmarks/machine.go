package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// setting is what a result depends on besides the code.
type setting struct {
	Command    string `json:"command"`
	Commit     string `json:"commit"`
	Go         string `json:"go"`
	System     string `json:"system"`
	Kernel     string `json:"kernel"`
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	GOMAXPROCS int    `json:"gomaxprocs"`
}

const unknown = "unknown"

func readSetting(command string) setting {
	return setting{
		Command:    command,
		Commit:     commit(),
		Go:         runtime.Version(),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Kernel:     output("uname", "-sr"),
		CPU:        cpuModel(),
		CPUs:       runtime.NumCPU(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
	}
}

// commit is the one checked out in the working directory, and whether files that
// it knows have been changed since.
func commit() string {
	hash := output("git", "rev-parse", "--short=12", "HEAD")
	if hash == unknown {
		return hash
	}
	if err := exec.Command("git", "diff", "--quiet", "HEAD").Run(); err != nil {
		hash += " with changes"
	}
	return hash
}

func cpuModel() string {
	if runtime.GOOS == "darwin" {
		return output("sysctl", "-n", "machdep.cpu.brand_string")
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

// output is what a command prints, on one line.
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(b))
}
