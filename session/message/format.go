package message

// Format turns messages into bytes and back. The values of this package and of those below it
// are immutable and serve any number of goroutines at once.
type Format interface {
	// Append appends m to dst and returns the longer slice. With an error, a *FormatError,
	// it returns dst as it was.
	Append(dst []byte, m *Message) ([]byte, error)

	// Parse makes m the message that is all of p; what m was before is gone. Nothing of p is
	// kept. With an error, a *FormatError, m is empty.
	Parse(p []byte, m *Message) error
}
