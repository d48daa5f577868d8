//go:build unix

package main

import (
	"flag"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelp(t *testing.T) {
	out, errs, code := runToEnd(t, "--help")
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, standard error %q", code, errs)
	}
	for _, part := range []string{"echo demo", "echo doctor", "nc 127.0.0.1 7000", "socat - ", "curl 127.0.0.1:7001/stats", "Ctrl-C", "-wire line -reply all"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in %q", part, out)
		}
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	new(settings).define(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(out, "  -"+f.Name) {
			t.Errorf("-%s is missing in %q", f.Name, out)
		}
	})
	if again, _, _ := runToEnd(t, "help"); again != out {
		t.Error("echo help says something else than echo --help")
	}
	for _, command := range []string{"demo", "doctor"} {
		if out, _, code := runToEnd(t, command, "-h"); code != 0 || !strings.Contains(out, "echo "+command) {
			t.Errorf("echo %s -h: exit code %d, output %q", command, code, out)
		}
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	for _, args := range [][]string{
		{"-addr", "nowhere"}, {"-addr", "127.0.0.1:99999"}, {"-addr", "unix:"},
		{"-debug", "nowhere", "-addr", "127.0.0.1:0"},
		{"-loops", "x"}, {"-loops", "257"}, {"-loops", "-1"},
		{"-mode", "fast"},
		{"-idle", "1"}, {"-idle", "1ms"}, {"-idle", "-1s"},
		{"-stall", "soon"}, {"-stall", "1ms"}, {"-spin", "2s"},
		{"-log", "loud"},
		{"-wire", "json"}, {"-reply", "nobody"}, {"-frame-timeout", "1ms", "-wire", "line"},
		{"-slow", "faster", "-reply", "all"}, {"-queue", "-1", "-reply", "all"}, {"-queue", "much", "-reply", "all"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			out, errs, code := runToEnd(t, args...)
			if code != exitUsage || out != "" {
				t.Errorf("exit code %d, output %q", code, out)
			}
			checkOneLine(t, errs, "echo: ", args[0], args[1])
		})
	}
}

func TestFlagsThatWouldDoNothingAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-slow", "drop-oldest"}, "-reply all"},
		{[]string{"-queue", "1000", "-reply", "sender"}, "-reply all"},
		{[]string{"-frame-timeout", "1s"}, "-wire length or line"},
	} {
		out, errs, code := runToEnd(t, c.args...)
		if code != exitUsage || out != "" {
			t.Errorf("%q: exit code %d, output %q", c.args, code, out)
		}
		checkOneLine(t, errs, "echo: ", c.args[0], c.want)
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	for _, args := range [][]string{
		{"dance"}, {"-dance"}, {"-loops", "1", "dance"}, {"doctor", "dance"}, {"demo", "dance"}, {"demo", "-t", "0s"}, {"demo", "-mode", "fast"},
		{"demo", "-fanout", "-1"}, {"demo", "-fanout", "1000000"}, {"demo", "-fanout", "many"},
	} {
		_, errs, code := runToEnd(t, args...)
		if code != exitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
		checkOneLine(t, errs, "echo: ", args[len(args)-1])
	}
}

func TestAddressInUse(t *testing.T) {
	for _, c := range []struct{ network, address, prefix string }{
		{"tcp", "127.0.0.1:0", ""},
		{"unix", filepath.Join(t.TempDir(), "s"), "unix:"},
	} {
		taken, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		address := c.prefix + taken.Addr().String()
		_, errs, code := runToEnd(t, "-addr", address)
		if code != exitFailed {
			t.Errorf("%s: exit code %d", address, code)
		}
		checkOneLine(t, errs, "-addr "+address, "address already in use")
	}
}
