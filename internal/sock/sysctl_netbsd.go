package sock

// Names of kernel limits. The queue of connections has no name here.
const (
	sysctlSomaxconn = ""
	sysctlPortLow   = "net.inet.ip.anonportmin"
	sysctlPortHigh  = "net.inet.ip.anonportmax"
)
