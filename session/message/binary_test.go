package message_test

import (
	"testing"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

func TestBinary(t *testing.T) {
	messagetest.Run(t, func(l message.Limits) message.Format { return message.Binary{Limits: l} })
}

func FuzzBinary(f *testing.F) { messagetest.Fuzz(f, message.Binary{}, true, hostileBinary()) }

func BenchmarkBinary(b *testing.B) { messagetest.Benchmark(b, message.Binary{}) }
