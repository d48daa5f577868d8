package session

// State is where a session is in its life. It only moves forward.
type State uint8

// The states.
const (
	Connecting State = iota // not yet open; Send returns ErrNotConnected
	Open                    // messages flow
	Draining                // no more messages; what is queued is still written
	Closed                  // over; see Closer
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Open:
		return "open"
	case Draining:
		return "draining"
	case Closed:
		return "closed"
	}
	return "invalid"
}
