package load

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
)

// FanReader is one subscriber more, which may be stopped for a while: it tells what
// a hub does with a reader that does not read. Its receive buffer and segments are
// small, so that little waits in the kernels between.
type FanReader struct {
	conn  net.Conn
	size  int // of a message, bytes
	start sync.Once
	done  chan struct{}

	mu   sync.Mutex
	read FanRead
	next []int64 // message expected of each publisher; -1 before the first
	last time.Time
}

// FanRead is what a FanReader has received.
type FanRead struct {
	Messages int64 `json:"messages"` // whole
	Missing  int64 `json:"missing"`  // left out between two that came
	Disorder int64 `json:"disorder"` // came again, or late
	Broken   bool  `json:"broken"`   // it is no stream of messages any more
	Closed   bool  `json:"closed"`   // by the hub

	// Next is the message of publisher 0 that is expected next.
	Next int64 `json:"next"`
}

const readerBuffer = 4 << 10 // bytes; the receive buffer, of which kernels make at least their minimum

// NewFanReader opens the connection and begins to read.
func NewFanReader(ctx context.Context, c FanConfig) (*FanReader, error) {
	r, err := OpenFanReader(ctx, c)
	if err != nil {
		return nil, err
	}
	r.Start()
	return r, nil
}

// OpenFanReader opens the connection and does not read before Start.
func OpenFanReader(ctx context.Context, c FanConfig) (*FanReader, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	network, target, err := splitAddress(c.Address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = sock.Kernel().SetOption(int(fd), sock.RecvBuffer, readerBuffer)
			smallSegments(int(fd))
		})
		return errors.Join(err, failed)
	}}
	conn, err := d.DialContext(ctx, network, target)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	r := &FanReader{conn: conn, size: c.MessageSize, done: make(chan struct{}), next: make([]int64, c.Publishers), last: time.Now()}
	for i := range r.next {
		r.next[i] = -1
	}
	return r, nil
}

// Start begins to read, unless it has begun.
func (r *FanReader) Start() {
	r.start.Do(func() { go r.readAll(r.size) })
}

func (r *FanReader) readAll(size int) {
	defer close(r.done)
	buffer := make([]byte, readMax/size*size)
	held := 0
	for {
		n, err := r.conn.Read(buffer[held:])
		held += n
		r.mu.Lock()
		r.last = time.Now()
		taken := 0
		for ; taken+size <= held; taken += size {
			r.take(buffer[taken:])
		}
		if err != nil {
			r.read.Closed = !errors.Is(err, net.ErrClosed)
		}
		r.mu.Unlock()
		held = copy(buffer, buffer[taken:held])
		if err != nil {
			return
		}
	}
}

// take counts one message. It begins with whatever the hub sends first.
func (r *FanReader) take(message []byte) {
	from := int(message[0])
	if from == fanGreeting {
		return
	}
	if r.read.Broken || from >= len(r.next) {
		r.read.Broken = true
		return
	}
	k := int64(binary.LittleEndian.Uint64(message[1:]))
	r.read.Messages++
	switch next := r.next[from]; {
	case next >= 0 && k < next:
		r.read.Disorder++
		return
	case next >= 0:
		r.read.Missing += k - next
	}
	r.next[from] = k + 1
}

// Report waits until the hub has been silent for that long, or has closed the
// connection, and says what has come in all.
func (r *FanReader) Report(silence time.Duration) FanRead {
	r.mu.Lock()
	r.last = time.Now() // a process that was stopped has not looked yet
	r.mu.Unlock()
	for {
		r.mu.Lock()
		report, last := r.read, r.last
		report.Next = r.next[0]
		r.mu.Unlock()
		left := silence - time.Since(last)
		if report.Closed || left <= 0 {
			return report
		}
		select {
		case <-r.done:
		case <-time.After(left):
		}
	}
}

// Close ends the connection, with RST.
func (r *FanReader) Close() {
	if c, ok := r.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // it fails when the hub was faster
	}
	r.conn.Close()
	r.Start() // it ends at once
	<-r.done
}

// FanReaderChild is a FanReader in a process of its own, so that it can be stopped
// by a signal. Its methods belong to one goroutine.
type FanReaderChild struct {
	ctx   context.Context
	child *child
}

// StartFanReader starts exe with args and a request, which it must hand to Main, as
// Child does, and returns when the connection is open.
func StartFanReader(ctx context.Context, exe string, args []string, c FanConfig) (*FanReaderChild, error) {
	p, err := startFanChild(ctx, exe, args, holdCommand, c)
	if err != nil {
		return nil, err
	}
	return &FanReaderChild{ctx, p}, nil
}

// Process is the child's, for signals.
func (r *FanReaderChild) Process() *os.Process { return r.child.cmd.Process }

// Report is FanReader.Report.
func (r *FanReaderChild) Report(silence time.Duration) (FanRead, error) {
	answer, err := r.child.fanAsk(r.ctx, []byte(silence.String()), nil)
	switch {
	case err != nil:
		return FanRead{}, err
	case answer.Read == nil:
		return FanRead{}, errors.New("load: child gave another answer than was asked for")
	}
	return *answer.Read, nil
}

// Close ends the child. One that is stopped must be continued first.
func (r *FanReaderChild) Close() error { return r.child.wait() }

// holdChild holds the connection that config describes and reports for each line of
// in, which says how long to wait for silence.
func holdChild(config string, in io.Reader, w *lineWriter) error {
	var c FanConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return fmt.Errorf("load: config: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := commands(in, cancel)
	r, err := NewFanReader(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := w.write(line{Fan: &fanLine{}}); err != nil {
		return err
	}
	for command := range asked {
		silence, err := time.ParseDuration(strings.TrimSpace(command))
		if err != nil {
			return fmt.Errorf("load: silence: %w", err)
		}
		report := r.Report(silence)
		if err := w.write(line{Fan: &fanLine{Read: &report}}); err != nil {
			return err
		}
	}
	return nil
}
