// Package message holds messages with meaning: an envelope, which says what a message is and
// for whom, and values, each with a key and a type.
//
//	m := message.New("order").From("desk").To("book").
//		Set("symbol", message.String("WEIR")).
//		Set("count", message.Int(3))
//	count, err := m.GetInt("count")
//
// A Format turns messages into bytes and bytes into messages: Binary, JSON, XML. Every message
// comes back as it was: NaN with its bits, integers up to 1<<64-1, strings that are not UTF-8,
// keys in the order in which they were set. What a peer sends is held against Limits before
// memory is taken for it.
//
// A Router is a session.Handler that gives each type of message to a handler of its own.
//
// A Message is not safe for use by several goroutines at once, unless all of them only read.
package message
