//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

// sentViews tells the race detector that the kernel read the first n bytes of
// the views.
func sentViews(views [][]byte, n int) {
	for _, view := range views {
		if n == 0 {
			return
		}
		view = view[:min(len(view), n)]
		sent(view)
		n -= len(view)
	}
}
