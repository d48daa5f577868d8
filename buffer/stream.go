package buffer

// The chain as an io.Reader and io.Writer, and the fast paths of io.Copy.

import (
	"errors"
	"io"
)

// readMin is the smallest segment that ReadFrom asks for, bytes.
const readMin = 4 << 10

// emptyReadsMax is how often in a row a reader may return nothing and no error
// before ReadFrom gives up with io.ErrNoProgress.
const emptyReadsMax = 100

var errBadCount = errors.New("buffer: reader or writer returned a count out of range")

// Write appends a copy of p. It never fails.
func (c *Chain) Write(p []byte) (int, error) {
	c.Append(p)
	return len(p), nil
}

// Read copies bytes from the front to p and consumes them. It returns io.EOF
// when the chain is empty and p is not.
func (c *Chain) Read(p []byte) (int, error) {
	if len(p) > 0 && c.length == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && c.length > 0 {
		m := copy(p[n:], c.front().bytes())
		n += m
		c.Consume(m) // a release function that panics finds the length right
	}
	return n, nil
}

// WriteTo writes everything to w and consumes what w took, so that after an
// error the rest is still queued. It returns how many bytes w took.
func (c *Chain) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for c.length > 0 {
		e := c.front()
		size := e.len()
		n, err := w.Write(e.seg.mem[e.start:e.end:e.end])
		if n < 0 || n > size {
			return total, errBadCount
		}
		c.Consume(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if n < size {
			return total, io.ErrShortWrite
		}
	}
	return total, nil
}

// ReadFrom reads from r until io.EOF, which it does not report, or another
// error, straight into segments. It returns how many bytes were appended.
func (c *Chain) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for empty := 0; empty < emptyReadsMax; {
		n, err := c.readOnce(r)
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if n > 0 {
			empty = 0
		} else {
			empty++
		}
	}
	return total, io.ErrNoProgress
}

// readOnce appends what one Read of r returns.
func (c *Chain) readOnce(r io.Reader) (int, error) {
	room := c.room()
	var own *Segment
	if len(room) == 0 {
		own = c.nextSegment(readMin)
		room = own.mem
	}
	// Not kept in the chain before it holds bytes; given back if r panics.
	defer func() {
		if own != nil {
			own.Release()
		}
	}()

	n, err := r.Read(room[:len(room):len(room)])
	if n < 0 || n > len(room) {
		return 0, errBadCount
	}
	if n > 0 {
		if own == nil {
			c.back().end += n
		} else {
			c.push(entry{own, 0, n})
			own = nil
		}
		c.length += n
		c.changed()
	}
	return n, err
}
