package message

// Kind is what a message is in a conversation. The numbers and names are stable.
type Kind uint8

// The kinds.
const (
	KindEvent   Kind = 0 // expects no answer
	KindRequest Kind = 1 // expects a reply or an error with the same correlation id
	KindReply   Kind = 2 // answers a request
	KindError   Kind = 3 // answers a request that failed, or tells what is wrong; see Error
	KindCancel  Kind = 4 // nobody waits for the reply any more
	KindPing    Kind = 5 // expects a pong with the same correlation id
	KindPong    Kind = 6 // answers a ping
)

// Kinds is one more than the highest Kind, for arrays indexed by it.
const Kinds = int(KindPong) + 1

var kindNames = [Kinds]string{"event", "request", "reply", "error", "cancel", "ping", "pong"}

// String returns the kind's stable name, as JSON and XML use it.
func (k Kind) String() string {
	if int(k) < Kinds {
		return kindNames[k]
	}
	return "invalid"
}

// KindOf returns the kind with the given name; false if there is none.
func KindOf(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}
