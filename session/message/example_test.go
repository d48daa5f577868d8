package message_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
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

// A question becomes its answer.
func ExampleMessage_SwapHeader() {
	m := message.NewRequest("price", 7).From("desk").To("book").Set("symbol", message.String("WEIR"))
	fmt.Println(m.SwapHeader().Set("price", message.Float(9.5)))
	// Output:
	// reply "price" from "book" to "desk" correlation 7, 2 values
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

// A server that answers orders, in JSON over frames.
func ExampleRouter() {
	r := message.NewRouter(message.JSON{})
	r.Handle("order", func(s *session.Session, m *message.Message) {
		symbol, err := m.GetString("symbol")
		answer := m.Reply().Set("text", message.String("bought "+symbol))
		if err != nil {
			answer = m.Fail(err)
		}
		if err := r.Send(s, answer); err != nil {
			fmt.Println(err)
		}
	})

	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(r, frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}

	answers := make(chan string)
	ask := message.NewRouter(message.JSON{})
	ask.Default(func(_ *session.Session, m *message.Message) {
		text, err := m.GetString("text")
		answers <- fmt.Sprint(m.Kind, " ", m.Correlation, " ", text, " ", err)
	})
	s, err := e.Dial(context.Background(), "tcp", l.Addr().String(), session.Framed(ask, frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range []*message.Message{
		message.NewRequest("order", 1).Set("symbol", message.String("WEIR")),
		message.NewRequest("order", 2),
		message.NewRequest("weather", 3),
	} {
		if err := ask.Send(s, m); err != nil {
			fmt.Println(err)
		}
		fmt.Println(<-answers)
	}
	// Output:
	// reply 1 bought WEIR <nil>
	// error 2 message: no such key "symbol", want string <nil>
	// error 3 no handler for type "weather" <nil>
}
