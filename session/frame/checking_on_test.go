//go:build race || weirdebug

package frame

// checkingBuild tells whether this build allocates on purpose, to check more.
const checkingBuild = true
