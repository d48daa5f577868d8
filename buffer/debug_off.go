//go:build !weirdebug

package buffer

// debugBuild is off: debug mode is up to Config.Debug.
const debugBuild = false
