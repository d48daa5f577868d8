package sock

import (
	"syscall"
	"unsafe"
)

// RawSyscall6 enters the kernel without telling the Go scheduler, which saves a
// quarter of the cost of a small read or write. Only for calls that cannot
// block and move at most MaxBytes: the scheduler and the garbage collector wait
// for the thread meanwhile.
//
// It must not be inlined: its stack check is where the runtime stops the
// goroutine when it wants to collect garbage. With the bare call in a loop,
// pauses of up to two seconds were seen; with this one, a few milliseconds.
//
// The same stack check may move the stack after the caller has turned a pointer
// into a uintptr. So whatever is converted in the argument list is kept alive
// and put on the heap. Arguments that should stay on the stack need a wrapper
// that takes pointers, as rawMessage does.
//
//go:noinline
//go:uintptrescapes
func RawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1 uintptr, errno syscall.Errno) {
	r1, _, errno = syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	return r1, errno
}

// rawBuffer is RawSyscall6 for recvfrom and sendto without an address. The
// pointer stays a pointer until the stack can no longer move.
//
//go:noinline
func rawBuffer(trap uintptr, fd int, p []byte, flags uintptr) (n int, errno syscall.Errno) {
	r1, _, errno := syscall.RawSyscall6(trap, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	return int(r1), errno
}

// rawMessage is RawSyscall6 for recvmsg and sendmsg.
//
//go:noinline
func rawMessage(trap uintptr, fd int, message unsafe.Pointer, flags uintptr) (n int, errno syscall.Errno) {
	r1, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(message), flags, 0, 0, 0)
	return int(r1), errno
}
