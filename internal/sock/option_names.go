package sock

import "strconv"

// String names the option as the constants do.
func (o Option) String() string {
	if int(o) < len(optionNames) {
		return optionNames[o]
	}
	return "Option(" + strconv.Itoa(int(o)) + ")"
}

var optionNames = [...]string{
	NoDelay:           "NoDelay",
	KeepAlive:         "KeepAlive",
	KeepAliveSeconds:  "KeepAliveSeconds",
	UserTimeoutMillis: "UserTimeoutMillis",
	Linger:            "Linger",
	SendBuffer:        "SendBuffer",
	RecvBuffer:        "RecvBuffer",
	SocketError:       "SocketError",
}
