package message_test

import (
	"errors"
	"fmt"

	"github.com/weirnet/weir/session/message"
)

// A message goes through a format and comes back; what is not there, or of another type, is an
// error that names the key.
func Example() {
	order := message.NewRequest("order", 300).From("desk").To("book").
		Set("symbol", message.String("WEIR")).
		Set("count", message.Int(3))
	p, err := message.Binary{}.Append(nil, order)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d bytes\n", len(p))

	got := &message.Message{}
	if err := (message.Binary{}).Parse(p, got); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got)
	count, err := got.GetInt("count")
	fmt.Println(count, err)
	_, err = got.GetInt("symbol")
	fmt.Println(err, errors.Is(err, message.ErrType))
	// Output:
	// 42 bytes
	// request "order" from "desk" to "book" correlation 300, 2 values
	// 3 <nil>
	// message: wrong type "symbol": have string, want int true
}

// An error with a code is the same error at the other end.
func ExampleMessage_Fail() {
	soldOut := &message.Error{Code: message.CodeOwn + 1, Text: "sold out"}
	answer := message.NewRequest("order", 300).Fail(fmt.Errorf("order 300: %w", soldOut))
	fmt.Println(answer)
	fmt.Println(answer.Err(), errors.Is(answer.Err(), soldOut))
	// Output:
	// error "order" correlation 300, 2 values
	// message: code 1001: "sold out" true
}
