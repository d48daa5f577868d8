package msgpack_test

import (
	"fmt"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/msgpack"
)

func Example() {
	format := msgpack.Format{}
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
	// 97 00 a5 6f 72 64 65 72 a0 a0 00 00 81 a5 63 6f 75 6e 74 03
	// 3 <nil>
}
