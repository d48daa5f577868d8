package engine_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"sync"
)

// pattern is an endless stream of bytes that does not repeat, fixed by its seed.
func pattern(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// patternBytes are the first n bytes of a pattern.
func patternBytes(seed uint64, n int) []byte {
	p := make([]byte, n)
	_, _ = io.ReadFull(pattern(seed), p) // the pattern has no end and no errors
	return p
}

// copyBuffers are lent to those who move streams.
var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// echoed writes n bytes of a pattern to c while it reads as many back, ends its
// side, and checks hash and end of what came.
func echoed(c stream, seed uint64, n int64) error {
	wrote := make(chan error, 1)
	sent := sha256.New()
	go func() {
		err := pour(io.MultiWriter(c, sent), io.LimitReader(pattern(seed), n))
		wrote <- errors.Join(err, c.CloseWrite())
	}()
	got := sha256.New()
	count := counter{to: got}
	err := errors.Join(pour(&count, c), <-wrote)
	if err != nil {
		return err
	}
	return sameSum(count.n, n, got, sent)
}

// pour is io.Copy without the kernel's short cuts, which would not show us bytes.
func pour(to io.Writer, from io.Reader) error {
	buffer := copyBuffers.Get().(*[64 << 10]byte)
	defer copyBuffers.Put(buffer)
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer[:])
	return err
}

func sameSum(n, want int64, got, sent hash.Hash) error {
	if n != want {
		return fmt.Errorf("%d bytes came back, want %d", n, want)
	}
	if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		return fmt.Errorf("SHA-256 of %d bytes differs", n)
	}
	return nil
}

// counter counts what goes through it.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.to.Write(p)
}
