//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

// What the BSDs do differently from Linux in small things. Some of them do
// hand options down, but not all and not all options.
const (
	inheritsOptions = false
	abstractNames   = false
)
