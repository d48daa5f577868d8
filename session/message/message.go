package message

// Header is a message's envelope: everything but its values.
type Header struct {
	Kind Kind

	// Type says what the message is about; a Router goes by it. Source and Target say from
	// whom and for whom it is. All three are names, see CheckName, and may be empty.
	Type   string
	Source string
	Target string

	// Correlation ties an answer to what it answers. 0 means none.
	Correlation uint64

	// Version is that of the message's Type, for programs that change what one has in it.
	// The package does nothing with it. 0 means none.
	Version uint32
}

// Message is an envelope and values. The zero Message is an empty event.
type Message struct {
	Header
	Values
}

// New returns an event of the given type, without values.
func New(typ string) *Message { return &Message{Header: Header{Type: typ}} }

// NewRequest returns a request of the given type. The correlation id is the asker's choice;
// its replies have the same.
func NewRequest(typ string, correlation uint64) *Message {
	return &Message{Header: Header{Kind: KindRequest, Type: typ, Correlation: correlation}}
}

// From sets the source and returns m.
func (m *Message) From(source string) *Message {
	m.Source = source
	return m
}

// To sets the target and returns m.
func (m *Message) To(target string) *Message {
	m.Target = target
	return m
}

// Set stores value under key, in place of an earlier one, and returns m. A new key comes last.
func (m *Message) Set(key string, value Value) *Message {
	m.Values.Set(key, value)
	return m
}

// SwapHeader makes m's envelope that of its answer and returns m: source and target change
// places, a request becomes a reply, a ping a pong. Type, correlation id, version and all
// values stay.
func (m *Message) SwapHeader() *Message {
	m.Header = m.Header.Swapped()
	return m
}

// Reply returns a new message with m's envelope, swapped, and no values.
func (m *Message) Reply() *Message { return &Message{Header: m.Header.Swapped()} }

// Swapped returns the envelope of an answer; see Message.SwapHeader.
func (h Header) Swapped() Header {
	h.Source, h.Target = h.Target, h.Source
	switch h.Kind {
	case KindRequest:
		h.Kind = KindReply
	case KindPing:
		h.Kind = KindPong
	}
	return h
}

// Reset makes m an empty event, which keeps its memory for the next message.
func (m *Message) Reset() {
	m.Header = Header{}
	m.Values.Clear()
}

// Clone returns a copy of m that shares nothing that can be changed.
func (m *Message) Clone() *Message {
	return &Message{Header: m.Header, Values: *m.Values.Clone()}
}

// Equal tells whether two messages have the same envelope, and the same values in the same
// order, of the same types. Floats are compared by their bits, so that a NaN equals itself.
func (m *Message) Equal(other *Message) bool {
	return m.Header == other.Header && m.Values.Equal(&other.Values)
}

// String is for logs: the envelope, and how many values there are. Names are quoted.
func (m *Message) String() string { return string(m.appendText(nil)) }
