package rpc

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/session/message"
)

// What lies in a frame is a message, whose kind says what it is:
//
//	request   asks; its correlation id is the asker's, and not 0
//	reply     answers, with the same id
//	error     answers, too: code and text, as message.Fail writes them
//	cancel    nobody waits for the answer to the request with this id any more
//	ping      asks whether somebody is there; the answer is a
//	pong      with the same id
//	event     is not this package's business; see WithEvents
//
// docs/protocol.md has the rules and the bytes.

// KeyTimeout is the key of the value, a uint, by which a request tells for how many
// milliseconds its answer is waited for. Handlers do not get to see it.
const KeyTimeout = "rpc.timeout"

// timeoutMost is the longest that is taken as said, ms; longer ones are none.
const timeoutMost = uint64(1<<63-1) / uint64(time.Millisecond)

// millis is a time left as requests tell it, rounded up so that it never says 0.
func millis(left time.Duration) uint64 {
	return (uint64(left) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond)
}

// encode appends to dst the values of m, if it is not nil, in the envelope h. If left is
// not 0 it is added to them. M is only read.
func (p *Peer) encode(dst []byte, h message.Header, m *message.Message, left time.Duration) ([]byte, error) {
	out, ok := p.envelopes.Get().(*message.Message)
	if !ok {
		out = new(message.Message)
	}
	defer p.envelopes.Put(out)
	switch {
	case left > 0:
		if m != nil {
			for key, value := range m.All() {
				out.Set(key, value)
			}
		}
		out.Set(KeyTimeout, message.Uint(millis(left)))
		defer out.Reset()
	case m != nil:
		out.Values = m.Values // lent, and only read
		defer func() { *out = message.Message{} }()
	}
	out.Header = h
	return p.options.format.Append(dst, out)
}

// timeout takes the time that is left out of a request, 0 if it has not said.
func timeout(m *message.Message) (time.Duration, error) {
	if !m.Has(KeyTimeout) {
		return 0, nil
	}
	n, err := m.GetUint(KeyTimeout)
	if err != nil {
		return 0, err
	}
	m.Delete(KeyTimeout)
	if n > timeoutMost {
		return 0, nil
	}
	return time.Duration(n) * time.Millisecond, nil
}

// ProtocolError tells what a peer has sent that it must not. It is the cause of its
// session's end, for session.ReasonProtocolError.
type ProtocolError struct {
	Kind        message.Kind
	Correlation uint64
	Why         string
}

// Error names the kind and the id.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("rpc: bad %v with correlation id %d: %s", e.Kind, e.Correlation, e.Why)
}
