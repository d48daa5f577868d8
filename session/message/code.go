package message

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code says what went wrong, to programs in any language. The numbers and names are stable. A
// Code is an error, so that errors.Is(err, message.CodeNotFound) asks for it.
type Code uint32

// The codes that every program may use. From CodeOwn on they are the program's own.
const (
	CodeUnknown     Code = 1  // none of the others, or the sender does not say
	CodeInternal    Code = 2  // the sender's fault: a panic, a broken invariant
	CodeMalformed   Code = 3  // what was sent is no message
	CodeInvalid     Code = 4  // it is one, and makes no sense: a missing value, one of another type
	CodeUnsupported Code = 5  // nobody here does that
	CodeNotFound    Code = 6  // what was asked for is not there
	CodeConflict    Code = 7  // it is there already, or in another state
	CodeDenied      Code = 8  // not allowed
	CodeBusy        Code = 9  // too much to do; later it may work
	CodeUnavailable Code = 10 // not there at present; later, or elsewhere, it may work
	CodeTooLarge    Code = 11 // over a limit
	CodeDeadline    Code = 12 // too late; context.DeadlineExceeded, too
	CodeCancelled   Code = 13 // nobody wants it any more; context.Canceled, too

	// CodeOwn is the first of the program's own codes.
	CodeOwn Code = 1000
)

var codeNames = [...]string{
	CodeUnknown: "unknown", CodeInternal: "internal", CodeMalformed: "malformed", CodeInvalid: "invalid",
	CodeUnsupported: "unsupported", CodeNotFound: "not_found", CodeConflict: "conflict", CodeDenied: "denied",
	CodeBusy: "busy", CodeUnavailable: "unavailable", CodeTooLarge: "too_large", CodeDeadline: "deadline",
	CodeCancelled: "cancelled",
}

// String returns the code's stable name, or "code 1000" if it is not one of this package.
func (c Code) String() string {
	if c > 0 && int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// Error makes a Code an error.
func (c Code) Error() string { return "message: " + c.String() }

// Is reports whether target is what the standard library has for the code:
// context.DeadlineExceeded, context.Canceled, errors.ErrUnsupported.
func (c Code) Is(target error) bool {
	switch c {
	case CodeDeadline:
		return target == context.DeadlineExceeded
	case CodeCancelled:
		return target == context.Canceled
	case CodeUnsupported:
		return target == errors.ErrUnsupported
	}
	return false
}

// Error is an error that can be sent: a code for programs, and a text for people. Two of them
// with the same code are the same to errors.Is, whatever the texts; so a program's own
//
//	var ErrSoldOut = &message.Error{Code: message.CodeOwn + 1, Text: "sold out"}
//
// is found again at the other end.
type Error struct {
	Code Code
	Text string // may be the peer's; Error quotes it
}

// Error names the code and quotes the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.Error()
	}
	return e.Code.Error() + ": " + quote(e.Text)
}

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }

// Is reports whether target is an *Error with the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// textSentMax is how much of an error's text is sent, bytes.
const textSentMax = 1024

// CodeOf returns the code of err: of the Error or Code that it is or wraps, else the one for
// the error of this package or of the standard library, else CodeUnknown. Nil has code 0.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	if c := Code(0); errors.As(err, &c) {
		return c
	}
	for _, known := range [...]struct {
		is   error
		code Code
	}{
		{context.DeadlineExceeded, CodeDeadline}, {context.Canceled, CodeCancelled}, {errors.ErrUnsupported, CodeUnsupported},
		{ErrMalformed, CodeMalformed}, {ErrLimit, CodeTooLarge}, {ErrMissing, CodeInvalid}, {ErrType, CodeInvalid},
		{ErrRange, CodeInvalid},
	} {
		if errors.Is(err, known.is) {
			return known.code
		}
	}
	return CodeUnknown
}

// ErrorOf returns err as it can be sent: the *Error that it is or wraps, or one with CodeOf and
// err's text. Nil gives nil.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeOf(err), Text: err.Error()}
}

// Keys of an error's values.
const (
	keyCode = "code" // uint
	keyText = "text" // string
)

// Fail returns the answer to m that says err: m's envelope, swapped, of KindError, with the
// code and at most 1 KiB of the text of ErrorOf as values. The text is the whole error's: do not
// send what the peer must not know.
func (m *Message) Fail(err error) *Message {
	answer := m.Reply()
	answer.Kind = KindError
	e := ErrorOf(err)
	if e == nil {
		e = &Error{Code: CodeUnknown}
	}
	answer.Set(keyCode, Uint(e.Code))
	if e.Text != "" {
		answer.Set(keyText, String(cut(e.Text, textSentMax)))
	}
	return answer
}

// Err returns nil unless m is of KindError; then the error that it tells, an *Error. If m does
// not have a code as Fail writes it, the error's is CodeUnknown.
func (m *Message) Err() error {
	if m.Kind != KindError {
		return nil
	}
	e := &Error{Code: CodeUnknown}
	if n, err := m.GetUint(keyCode); err == nil && n > 0 && n == uint64(Code(n)) {
		e.Code = Code(n)
	}
	if text, err := m.GetString(keyText); err == nil {
		e.Text = text
	}
	return e
}

// cut returns at most n bytes of s, and no half of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
