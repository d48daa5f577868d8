package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
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

	Memory  string `json:"memory,omitempty"`    // of the machine
	Files   string `json:"nofile,omitempty"`    // open files a process may have
	Backlog string `json:"somaxconn,omitempty"` // connections that may wait to be accepted
	Load    string `json:"load,omitempty"`      // average of runnable processes, 1, 5 and 15 minutes before
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
		Memory:     fileField("/proc/meminfo", "MemTotal"),
		Files:      fileLimit(),
		Backlog:    oneLine("/proc/sys/net/core/somaxconn"),
		Load:       loadAverage(),
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
	if model := fileField("/proc/cpuinfo", "model name"); model != "" {
		return model
	}
	return unknown
}

// fileField is the value of the first line "name: value" of a file; empty if there is none.
func fileField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// oneLine is what a file of one line says; empty if there is none.
func oneLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// loadAverage are the three numbers of /proc/loadavg; empty where there is none.
func loadAverage() string {
	fields := strings.Fields(oneLine("/proc/loadavg"))
	if len(fields) < 3 {
		return ""
	}
	return strings.Join(fields[:3], " ")
}

// versionOf is the version of a module that this program is built with.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
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

// firstLine is the first line of what a command printed that says something.
func firstLine(b []byte) string {
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
