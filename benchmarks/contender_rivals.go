//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

// rivals are other engines; they run when named.
func rivals() []contender {
	return []contender{
		{"gnet", "gnet v2, a loop per processor", startGnet},
		{"nbio", "nbio, default options", startNbio},
		{"netpoll", "netpoll, default options", startNetpoll},
	}
}
