//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

// rivals are other engines, each set up as its authors advise for servers that are busy
// with I/O.
func rivals() []contender {
	return []contender{
		{name: "gnet", about: "gnet " + versionOf("github.com/panjf2000/gnet/v2") + ", WithMulticore(true): a loop per processor", start: startGnet},
		{name: "nbio", about: "nbio " + versionOf("github.com/lesismal/nbio") + ", default options: a poller per processor, level-triggered", start: startNbio},
		{name: "netpoll", about: "netpoll " + versionOf("github.com/cloudwego/netpoll") + ", PollerNum GOMAXPROCS, and a plain goroutine as Runner, which its documents advise where stacks stay shallow", start: startNetpoll},
	}
}
