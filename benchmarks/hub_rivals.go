//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

// rivalHubs are other engines; they run when named.
func rivalHubs() []hub { return nil }
