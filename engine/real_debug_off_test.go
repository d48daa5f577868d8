//go:build !weirdebug

package engine_test

// debugBuild: buffers are checked and traced, which allocates.
const debugBuild = false
