package sock

// Names of kernel limits.
const (
	sysctlSomaxconn = "kern.somaxconn"
	sysctlPortLow   = "net.inet.ip.portfirst"
	sysctlPortHigh  = "net.inet.ip.portlast"
)
