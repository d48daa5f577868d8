package protobuf_test

import (
	"fmt"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/protobuf"
)

func Example() {
	format := protobuf.Format{}
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
	// 12 05 6f 72 64 65 72 3a 0b 0a 05 63 6f 75 6e 74 12 02 10 06
	// 3 <nil>
}
