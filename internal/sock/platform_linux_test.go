package sock

// dualStack: one socket takes IPv4 and IPv6.
const dualStack = true
