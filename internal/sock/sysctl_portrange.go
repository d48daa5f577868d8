//go:build darwin || dragonfly || freebsd

package sock

// Names of kernel limits.
const (
	sysctlSomaxconn = "kern.ipc.somaxconn"
	sysctlPortLow   = "net.inet.ip.portrange.first"
	sysctlPortHigh  = "net.inet.ip.portrange.last"
)
