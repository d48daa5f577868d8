package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// settings are the server's flags.
type settings struct {
	addr   string
	mode   engine.Mode
	loops  int // 0: the engine's default
	idle   time.Duration
	stall  time.Duration
	drain  time.Duration
	spread time.Duration
	spin   time.Duration
	logger engine.Logger
	debug  string // empty: off

	// What is said, and to whom.
	wire  frame.Codec
	frame time.Duration
	all   bool // every message goes to every session
	group session.GroupConfig
}

// define declares the flags in fs, with their defaults.
func (s *settings) define(fs *flag.FlagSet) {
	s.logger = engine.NewZerolog(os.Stderr, engine.Info)
	fs.StringVar(&s.addr, "addr", "127.0.0.1:7000", "listen on this `address`: host:port, [::1]:0 or unix:/path; port 0 lets the system choose")
	s.defineService(fs)
	fs.IntVar(&s.loops, "loops", 0, "run `N` event loops; 0 is one per processor (GOMAXPROCS)")
	defineMode(fs, &s.mode)
	fs.DurationVar(&s.idle, "idle", time.Minute, "close a session on which nothing came or went for this long; 0 is never")
	fs.DurationVar(&s.stall, "stall", 30*time.Second, "close a session that takes nothing of what is queued for it for this long; 0 is never")
	fs.DurationVar(&s.drain, "drain", 10*time.Second, "after Ctrl-C give sessions this long to close")
	fs.DurationVar(&s.spread, "spread", 0, "after Ctrl-C close sessions one after the other over this time, so that clients do not all come back at once")
	fs.DurationVar(&s.spin, "spin", 0, "look for work for this long before sleeping: 20µs to 50µs halve the round trip of a lone connection and keep a processor busy")
	fs.Func("log", "log events of this `level` and above as JSON lines on standard error: debug, info, warn, error or off (default info)", s.setLog)
	fs.StringVar(&s.debug, "debug", "", "serve pprof, /stats and /closed over HTTP on this `address`, for example 127.0.0.1:7001; anybody who reaches it may read (default off)")
}

// defineService declares the flags for what is said, and to whom.
func (s *settings) defineService(fs *flag.FlagSet) {
	s.wire = frame.Raw()
	fs.Func("wire", "take messages in this `form`: raw (whatever one read returns), length (each behind its length, as docs/protocol.md says) or line (default raw)", s.setWire)
	fs.DurationVar(&s.frame, "frame-timeout", 30*time.Second, "with -wire length or line, close a session that does not finish a message within this time; 0 is never")
	fs.Func("reply", "answer `whom`: sender, or all, so that every session gets every message, the sender's included (default sender)", s.setReply)
	fs.Func("slow", "with -reply all, treat sessions that are behind by more than -queue by this `policy`: close, drop-oldest, drop-newest or conflate, which keeps only the latest message for who is behind (default close)", s.setSlow)
	fs.IntVar(&s.group.QueueBytes, "queue", 0, "with -reply all, let a session be behind by this many `bytes`; 0 is 4 MiB")
}

// defineMode declares -mode, which server and demo share.
func defineMode(fs *flag.FlagSet, mode *engine.Mode) {
	fs.Func("mode", "run handlers in this `mode`: pool (on workers), inline (on several loops) or single (on one) (default pool)", func(value string) error {
		switch value {
		case engine.Inline.String():
			*mode = engine.Inline
		case engine.Single.String():
			*mode = engine.Single
		case engine.Pool.String():
			*mode = engine.Pool
		default:
			return errors.New("must be pool, inline or single")
		}
		return nil
	})
}

func (s *settings) setLog(value string) error {
	levels := map[string]engine.Level{"debug": engine.Debug, "info": engine.Info, "warn": engine.Warn, "error": engine.Error}
	level, ok := levels[value]
	switch {
	case ok:
		s.logger = engine.NewZerolog(os.Stderr, level)
	case value == "off":
		s.logger = engine.NoLog{}
	default:
		return errors.New("must be debug, info, warn, error or off")
	}
	return nil
}

func (s *settings) setWire(value string) error {
	codecs := map[string]frame.Codec{"raw": frame.Raw(), "length": frame.Default(), "line": frame.Lines()}
	codec, ok := codecs[value]
	if !ok {
		return errors.New("must be raw, length or line")
	}
	s.wire = codec
	return nil
}

func (s *settings) setReply(value string) error {
	switch value {
	case "sender":
		s.all = false
	case "all":
		s.all = true
	default:
		return errors.New("must be sender or all")
	}
	return nil
}

// slowPolicies are all of them.
var slowPolicies = [...]session.SlowPolicy{session.CloseSlow, session.DropOldest, session.DropNewest, session.Conflate}

func (s *settings) setSlow(value string) error {
	for _, policy := range slowPolicies {
		if policy.String() == value {
			s.group.Slow = policy
			return nil
		}
	}
	return errors.New("must be close, drop-oldest, drop-newest or conflate")
}

// check finds values that no option of the engine would refuse: those out of bounds,
// and flags that would do nothing.
func (s *settings) check(fs *flag.FlagSet) (err error) {
	if s.group.QueueBytes < 0 {
		return badValue("queue", fmt.Sprint(s.group.QueueBytes), errors.New("must not be negative"))
	}
	fs.Visit(func(f *flag.Flag) {
		switch {
		case (f.Name == "slow" || f.Name == "queue") && !s.all:
			err = fmt.Errorf("flag -%s: does nothing without -reply all", f.Name)
		case f.Name == "frame-timeout" && s.wire == frame.Raw():
			err = fmt.Errorf("flag -%s: does nothing without -wire length or line", f.Name)
		}
	})
	if err != nil {
		return usageError{err}
	}
	return nil
}

// service is what sessions are served with.
func (s *settings) service(e *engine.Engine) session.Handler {
	if s.all {
		return session.Framed(hub{e.Group("all")}, s.wire)
	}
	return session.Framed(session.HandlerFunc(echo), s.wire)
}

// options are the engine's part of the settings.
func (s *settings) options() []engine.Option {
	options := []engine.Option{
		engine.WithMode(s.mode),
		engine.WithFirstMessageTimeout(0), // whoever says nothing is idle
		engine.WithFrameTimeout(s.frame),
		engine.WithIdleTimeout(s.idle),
		engine.WithStallTimeout(s.stall),
		engine.WithDrainTimeout(s.drain),
		engine.WithDrainSpread(s.spread),
		engine.WithSpin(s.spin),
		engine.WithGroups(func(string) session.GroupConfig { return s.group }),
		engine.WithLogger(s.logger),
	}
	if s.loops != 0 {
		options = append(options, engine.WithLoops(s.loops))
	}
	return options
}

// badOption names the flag that an option which the engine refused came from.
func badOption(err error) error {
	var bad *engine.OptionError
	if !errors.As(err, &bad) {
		return err
	}
	flags := map[string]string{
		"loops": "loops", "spin": "spin", "idle timeout": "idle", "stall timeout": "stall",
		"frame timeout": "frame-timeout", "drain timeout": "drain", "drain spread": "spread",
	}
	name, ok := flags[bad.Option]
	if !ok {
		return err
	}
	return badValue(name, fmt.Sprint(bad.Value), errors.New(bad.Why))
}

// badValue has the form of package flag's own errors.
func badValue(name, value string, why error) error {
	return usageError{fmt.Errorf("invalid value %q for flag -%s: %w", value, name, why)}
}

// badAddress tells a value that is no address from an address that cannot be had.
func badAddress(name, value string, err error) error {
	var address *net.AddrError
	var lookup *net.DNSError
	if errors.As(err, &address) || errors.As(err, &lookup) || value == "unix:" {
		return badValue(name, value, err)
	}
	return fmt.Errorf("-%s %s: %w", name, value, err)
}

// splitAddress turns the value of -addr into what engine.Listen takes.
func splitAddress(value string) (network, address string) {
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		return "unix", path
	}
	return "tcp", value
}

// addressText is the reverse of splitAddress.
func addressText(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}

// parse reads args. It returns done if they ask for help, which it then gives: the
// two texts with the flags between them.
func parse(fs *flag.FlagSet, args []string, out io.Writer, about, examples string) (done bool, err error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, about)
		fs.SetOutput(out)
		fs.PrintDefaults()
		fmt.Fprint(out, examples)
		return true, nil
	case err != nil:
		return false, usageError{err}
	case fs.NArg() > 0:
		return false, usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	return false, nil
}
