package cbor_test

import (
	"fmt"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/cbor"
)

func Example() {
	format := cbor.New(message.Limits{})
	p, err := format.Append(nil, message.New("order").Set("count", message.Int(3)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x\n", p)

	got := &message.Message{}
	if err := format.Parse(p, got); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got.GetInt("count"))
	// Output:
	// 87 00 65 6f 72 64 65 72 60 60 00 00 a1 65 63 6f 75 6e 74 03
	// 3 <nil>
}
