package messagetest_test

import (
	"fmt"
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

// The tests of a Format: the suite, and a fuzz target.
func Example() {
	suite := func(t *testing.T) {
		messagetest.Run(t, func(l message.Limits) message.Format { return message.JSON{Limits: l} })
	}
	target := func(f *testing.F) { messagetest.Fuzz(f, message.JSON{}, false, nil) }
	_, _ = suite, target // TestJSON and FuzzJSON

	sent := message.New("order").Set("count", message.Int(3))
	received := message.New("order").Set("count", message.Uint(uint(3)))
	fmt.Println(messagetest.Difference(sent, received))
	// Output: count: int 3, uint 3
}
