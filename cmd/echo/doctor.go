package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/weirnet/weir/internal/memlimit"
	"github.com/weirnet/weir/internal/sock"
)

const doctorAbout = `echo doctor looks at the system's limits and says what to raise for many
connections, with the command to type. It changes nothing.

  echo doctor

It fails only if a limit cannot be read.
`

// limits are what the system allows. The errors wrap errors.ErrUnsupported where it
// does not tell.
type limits struct {
	softFiles, hardFiles uint64
	filesErr             error

	backlog    int
	backlogErr error

	portLow, portHigh int
	portsErr          error

	memory int64 // bytes; 0: the system does not tell
}

// What many connections need.
const (
	filesWanted   = 65536 // one for each connection
	backlogWanted = 4096  // connections that come at once; Linux's own default
	portsWanted   = 28000 // of one client address to one server; Linux's own default
)

// finding is a line of advice.
type finding struct {
	verdict string // ok, raise or unknown
	what    string
	state   string
	command string // what to type; empty unless the verdict is raise
}

func doctorCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("echo doctor", flag.ContinueOnError)
	if done, err := parse(fs, args, out, doctorAbout, ""); done || err != nil {
		return err
	}
	findings, err := examine(readLimits(), runtime.GOOS)
	writeFindings(out, findings)
	return err
}

func readLimits() (l limits) {
	l.softFiles, l.hardFiles, l.filesErr = sock.FDLimit()
	l.backlog, l.backlogErr = sock.Somaxconn()
	l.portLow, l.portHigh, l.portsErr = sock.PortRange()
	l.memory = memlimit.Bytes()
	return l
}

// examine judges the limits of a system. The error names those that could not be
// read although the system has them.
func examine(l limits, system string) ([]finding, error) {
	type judged struct {
		finding
		enough bool
		err    error
	}
	ports := l.portHigh - l.portLow + 1
	all := []judged{
		{finding{
			what:    "open files",
			state:   fmt.Sprintf("%d (soft), %d (hard); one for each connection", l.softFiles, l.hardFiles),
			command: raiseFiles(l, system),
		}, l.softFiles >= filesWanted, l.filesErr},
		{finding{
			what:    "accept queue",
			state:   fmt.Sprintf("%d connections may wait to be accepted", l.backlog),
			command: raiseBacklog(system),
		}, l.backlog >= backlogWanted, l.backlogErr},
		{finding{
			what:    "local ports",
			state:   fmt.Sprintf("%d to %d; a client has these %d for one server", l.portLow, l.portHigh, ports),
			command: raisePorts(system),
		}, ports >= portsWanted, l.portsErr},
	}
	var findings []finding
	var failed []error
	for _, j := range all {
		f := j.finding
		switch {
		case errors.Is(j.err, errors.ErrUnsupported):
			f.verdict, f.state = "unknown", "this system does not tell"
		case j.err != nil:
			f.verdict, f.state = "unknown", j.err.Error()
			failed = append(failed, fmt.Errorf("%s: %w", f.what, j.err))
		case j.enough:
			f.verdict = "ok"
		default:
			f.verdict = "raise"
		}
		if f.verdict != "raise" {
			f.command = ""
		}
		findings = append(findings, f)
	}
	return append(findings, examineMemory(l.memory)), errors.Join(failed...)
}

// examineMemory tells what an engine takes as its bound for queued output.
func examineMemory(limit int64) finding {
	if limit == 0 {
		return finding{
			verdict: "raise", what: "memory",
			state:   "this system does not tell; an engine queues 512.0 MiB at most",
			command: "export GOMEMLIMIT=2GiB   # or what the server may use",
		}
	}
	return finding{
		verdict: "ok", what: "memory",
		state: fmt.Sprintf("%s; an engine queues half of it at most", formatBytes(uint64(limit))),
	}
}

func raiseFiles(l limits, system string) string {
	switch {
	case l.hardFiles >= filesWanted:
		return fmt.Sprintf("ulimit -n %d", filesWanted)
	case system == "linux":
		return fmt.Sprintf("sudo prlimit --pid $$ --nofile=%d:%[1]d   # this shell; a systemd service: LimitNOFILE=%[1]d", filesWanted)
	case system == "darwin":
		return fmt.Sprintf("sudo launchctl limit maxfiles %d %[1]d && ulimit -n %[1]d", filesWanted)
	case system == "openbsd":
		return fmt.Sprintf("doas sysctl kern.maxfiles=%d   # and openfiles=%[2]d for your class in /etc/login.conf", 2*filesWanted, filesWanted)
	case system == "netbsd":
		return fmt.Sprintf("sudo sysctl -w kern.maxfiles=%d && ulimit -n %d", 2*filesWanted, filesWanted)
	}
	return fmt.Sprintf("sudo sysctl kern.maxfiles=%d kern.maxfilesperproc=%d && ulimit -n %[2]d", 2*filesWanted, filesWanted)
}

func raiseBacklog(system string) string {
	switch system {
	case "linux":
		return fmt.Sprintf("sudo sysctl -w net.core.somaxconn=%d", backlogWanted)
	case "darwin":
		return fmt.Sprintf("sudo sysctl -w kern.ipc.somaxconn=%d", backlogWanted)
	case "openbsd":
		return fmt.Sprintf("doas sysctl kern.somaxconn=%d", backlogWanted)
	}
	return fmt.Sprintf("sudo sysctl kern.ipc.somaxconn=%d", backlogWanted)
}

func raisePorts(system string) string {
	switch system {
	case "linux":
		return `sudo sysctl -w net.ipv4.ip_local_port_range="32768 60999"`
	case "openbsd":
		return "doas sysctl net.inet.ip.portfirst=32768 net.inet.ip.portlast=60999"
	case "netbsd":
		return "sudo sysctl -w net.inet.ip.anonportmin=32768"
	case "darwin":
		return "sudo sysctl -w net.inet.ip.portrange.first=32768"
	}
	return "sudo sysctl net.inet.ip.portrange.first=32768 net.inet.ip.portrange.last=60999"
}

func writeFindings(out io.Writer, findings []finding) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.verdict, f.what, f.state)
		if f.command != "" {
			fmt.Fprintf(table, "\t\t  type: %s\n", f.command)
		}
	}
	_ = table.Flush() // nobody is told if standard output is gone
	fmt.Fprintln(out, "\nWhy, and how to keep it over a restart: docs/tuning.md")
}
