//go:build weirdebug

package buffer

// debugBuild turns debug mode on for every pool and checks invariants at the
// end of each mutating method.
const debugBuild = true
