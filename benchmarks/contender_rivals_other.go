//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

// rivals are none where not all of them exist.
func rivals() []contender { return nil }
