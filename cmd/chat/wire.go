package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What goes over the wire: lines of JSON, so that `nc` is a client, too.
//
//	client                                                    server
//	{"do":"join","room":"lobby","name":"ann","key":"…"}   ──►
//	                                                      ◄──  {"is":"said","seq":1,"from":"bob","text":"hi"}   what was said before
//	                                                      ◄──  {"is":"joined","room":"lobby","life":"…","names":["ann","bob"]}
//	{"do":"say","n":1,"text":"hello"}                     ──►
//	                                                      ◄──  {"is":"said","seq":2,"from":"ann","key":"…","n":1,"text":"hello"}
//
// The server numbers what is said in a room (seq). A client that comes back says which
// number it has seen last, and gets what came after. It numbers its own messages, too (n):
// one that it has not heard back it says again, and the server takes it once.
//
// A room that has forgotten everything, as it does with a server without -dir, numbers
// anew: it begins another life. So a client that comes back also says in which life it
// saw that number. If that is over, it is told so, and gets all that is remembered:
//
//	{"do":"join",…,"life":"…","seen":2}                   ──►
//	                                                      ◄──  {"is":"anew","life":"…"}
//	                                                      ◄──  {"is":"said","seq":1,"from":"bob","text":"hi again"}
//	                                                      ◄──  {"is":"joined",…}

// request is a line from a client.
type request struct {
	Do string `json:"do"` // join, say, who, or pong

	Room string `json:"room,omitempty"` // join
	Name string `json:"name,omitempty"`
	Key  string `json:"key,omitempty"`  // of this client, the same when it comes back
	Life string `json:"life,omitempty"` // of the room, when it comes back
	Seen int    `json:"seen,omitempty"` // the last seq it has seen

	N    int    `json:"n,omitempty"` // say: the client's number, which only rises
	Text string `json:"text,omitempty"`
}

// event is a line from the server.
type event struct {
	Is string `json:"is"` // said, joined, came, went, names, gap, anew, ping, or error; in a journal also life

	Seq  int    `json:"seq,omitempty"` // said
	From string `json:"from,omitempty"`
	Key  string `json:"key,omitempty"`
	N    int    `json:"n,omitempty"`
	Text string `json:"text,omitempty"` // also of error

	Room  string   `json:"room,omitempty"`  // joined
	Life  string   `json:"life,omitempty"`  // joined, anew, life
	Names []string `json:"names,omitempty"` // joined, names
	More  int      `json:"more,omitempty"`  // joined, names: so many more are there
	Name  string   `json:"name,omitempty"`  // came, went
	Lost  int      `json:"lost,omitempty"`  // gap: so many messages are not remembered any more
}

// Limits, bytes.
const (
	lineMax  = 16 << 10 // JSON may write a byte as six, and whatever keeps the other limits fits
	textMax  = 2 << 10
	nameMax  = 32
	keyMax   = 64
	lifeMax  = 64
	errorMax = 200
)

// namesMax is how many names a line has room for.
const namesMax = 400

var (
	errName    = errors.New("a name has 1 to 32 letters, digits, - and _")
	errText    = errors.New("a text has 1 to 2048 bytes of UTF-8")
	errKey     = errors.New("a key has 1 to 64 bytes")
	errLife    = errors.New("a life has at most 64 bytes")
	errNumber  = errors.New("n must be at least 1, and seen at least 0")
	errRequest = errors.New("do must be join, say, who or pong")
)

// codec frames lines.
func codec() (frame.Codec, error) {
	return frame.NewDelimiter(frame.Delimiter{Bytes: "\n", TrimCR: true, Max: lineMax})
}

func parseRequest(p []byte) (r request, err error) {
	if err := json.Unmarshal(p, &r); err != nil {
		return r, err
	}
	return r, r.check()
}

func (r *request) check() error {
	switch r.Do {
	case "join":
		switch {
		case !validName(r.Room):
			return fmt.Errorf("room %.20q: %w", r.Room, errName)
		case !validName(r.Name):
			return fmt.Errorf("name %.20q: %w", r.Name, errName)
		case r.Key == "" || len(r.Key) > keyMax:
			return fmt.Errorf("key %.20q: %w", r.Key, errKey)
		case len(r.Life) > lifeMax:
			return fmt.Errorf("life %.20q: %w", r.Life, errLife)
		case r.Seen < 0:
			return errNumber
		}
	case "say":
		switch {
		case r.Text == "" || len(r.Text) > textMax || !utf8.ValidString(r.Text):
			return fmt.Errorf("text %.20q: %w", r.Text, errText)
		case r.N < 1:
			return errNumber
		}
	case "who", "pong":
	default:
		return fmt.Errorf("do %.20q: %w", r.Do, errRequest)
	}
	return nil
}

// validName tells whether s may be the name of a room or of somebody: it can be shown,
// and be a file's.
func validName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= nameMax
}

// line is v as JSON. There is nothing in a request or an event that has none.
func line(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return p
}

// failure is an error as an event. It may quote a line that is as long as a line may be.
func failure(err error) event {
	text := err.Error()
	if len(text) > errorMax {
		text = strings.ToValidUTF8(text[:errorMax], "")
	}
	return event{Is: "error", Text: text}
}

// send sends an event or a request. What cannot be sent ends its session, of which
// everybody is told.
func send(s *session.Session, v any) {
	err := s.Send(line(v))
	if errors.Is(err, session.ErrBufferFull) {
		err = fmt.Errorf("%w: %w", session.ReasonSlowConsumer, err)
	}
	if err != nil {
		_ = s.CloseWith(err) // ErrClosed: it has ended
	}
}
