package buffer_test

import (
	"fmt"
	"os"

	"github.com/weirnet/weir/buffer"
)

func ExamplePool() {
	pool := buffer.NewPool(buffer.Config{})

	s := pool.Get(1000) // one reference, ours
	copy(s.Bytes(), "hello")
	fmt.Println("capacity", s.Cap(), "in use", pool.Stats().InUse)

	s.Retain() // somebody else's
	s.Release()
	fmt.Println("live", pool.Stats().Segments)

	s.Release()
	fmt.Println("live", pool.Stats().Segments, "idle", pool.Stats().Idle)
	// Output:
	// capacity 1024 in use 1024
	// live 1
	// live 0 idle 1024
}

func ExamplePool_Adopt() {
	pool := buffer.NewPool(buffer.Config{})
	mine := []byte("not copied")
	s := pool.Adopt(mine, func() { fmt.Println("mine again") })
	fmt.Printf("%s\n", s.Bytes())
	s.Release()
	// Output:
	// not copied
	// mine again
}

func ExampleChain() {
	chain := buffer.NewChain(buffer.NewPool(buffer.Config{}))

	chain.Append([]byte("hello, "))
	chain.AppendOwned([]byte("world\n"), nil)

	fmt.Printf("%d bytes, first %q\n", chain.Len(), chain.Peek(9))
	chain.Consume(7)
	chain.WriteTo(os.Stdout)
	fmt.Println("empty:", chain.Empty())
	// Output:
	// 13 bytes, first "hello, wo"
	// world
	// empty: true
}

// A message for many is written once; each queue holds a reference.
func ExampleChain_AppendView() {
	pool := buffer.NewPool(buffer.Config{})
	members := []*buffer.Chain{buffer.NewChain(pool), buffer.NewChain(pool), buffer.NewChain(pool)}

	s := pool.Get(64)
	n := copy(s.Bytes(), "news for all")
	for _, m := range members {
		m.AppendView(s, s.Bytes()[:n])
	}
	s.Release()

	for _, m := range members {
		fmt.Printf("%s, %d live\n", m.Peek(n), pool.Stats().Segments)
		m.Consume(n)
	}
	fmt.Println(pool.Stats().Segments, "live")
	// Output:
	// news for all, 1 live
	// news for all, 1 live
	// news for all, 1 live
	// 0 live
}

func ExampleChain_Views() {
	chain := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	chain.AppendOwned([]byte("head"), nil)
	chain.AppendOwned([]byte("body"), nil)

	views := make([][]byte, 0, 64) // reused for each write
	for _, v := range chain.Views(views, 6) {
		fmt.Printf("%s\n", v)
	}
	// Output:
	// head
	// bo
}

func ExampleChain_Index() {
	chain := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	chain.AppendOwned([]byte("two\r"), nil)
	chain.AppendOwned([]byte("\nlines\r\n"), nil)

	first := chain.Index([]byte("\r\n"), 0)
	fmt.Println(first, chain.Index([]byte("\r\n"), first+1))
	// Output: 3 10
}

func ExampleChain_CopyTo() {
	chain := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	chain.AppendOwned([]byte("type 7, le"), nil)
	chain.AppendOwned([]byte("ngth 12"), nil)

	var word [6]byte // no memory is taken
	fmt.Printf("%s %d\n", word[:chain.CopyTo(word[:], 8)], chain.Len())
	// Output: length 17
}
