//go:build !race && !weirdebug

package session_test

// checkingBuild tells whether this build allocates on purpose, to check more.
const checkingBuild = false
