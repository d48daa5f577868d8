//go:build race && (darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sock

import (
	"runtime"
	"unsafe"
)

// The race detector does not see what the kernel reads and writes in a raw
// call. These two tell it; without them a buffer that is reused while a call
// still works on it would go unnoticed.

// received tells that the kernel wrote to p.
func received(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}

// sent tells that the kernel read p.
func sent(p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}
