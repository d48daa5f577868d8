package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
)

// fakeDNS is a name server in memory, RFC 1035 as far as a resolver asks: each name has
// addresses. The names below are special; all others do not exist.
type fakeDNS struct {
	names map[string][]netip.Addr
	ended chan struct{} // closed at the end: a resolver goes on asking after it was told to stop
}

const (
	brokenName = "broken.test." // the server fails
	muteName   = "mute.test."   // it does not answer
)

// launchWithNames starts an engine that asks a fakeDNS.
func launchWithNames(t *testing.T, names map[string][]netip.Addr) *server {
	t.Helper()
	d := fakeDNS{names, make(chan struct{})}
	v := launch(t, d.option())
	t.Cleanup(func() { close(d.ended) })
	return v
}

// option has an engine ask d.
func (d fakeDNS) option() engine.Option {
	return engine.WithDialer(&net.Dialer{Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe() // no packets, so messages begin with their length
			go d.serve(server)
			return client, nil
		},
	}})
}

// serve answers questions until the client closes.
func (d fakeDNS) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		name, kind, end := parseQuestion(question)
		if name == muteName {
			<-d.ended
			return
		}
		answer := d.answer(question[:end], name, kind)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

const dnsHeader = 12

// parseQuestion returns the name and the type that are asked for, and where the question ends.
func parseQuestion(message []byte) (name string, kind uint16, end int) {
	at := dnsHeader
	for message[at] != 0 {
		size := int(message[at])
		name += string(message[at+1:at+1+size]) + "."
		at += 1 + size
	}
	return strings.ToLower(name), binary.BigEndian.Uint16(message[at+1:]), at + 5
}

// answer repeats the question with the addresses of that type, 1 for IPv4 and 28 for IPv6.
func (d fakeDNS) answer(question []byte, name string, kind uint16) []byte {
	const noError, failure, noName = 0, 2, 3
	code, addresses, known := noError, d.names[name], d.names[name] != nil
	switch {
	case name == brokenName:
		code = failure
	case !known:
		code = noName
	}
	var records []byte
	count := 0
	for _, a := range addresses {
		if a.Is4() != (kind == 1) {
			continue
		}
		count++
		records = append(records, 0xc0, dnsHeader) // the name of the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 60) // internet, for a minute
		records = binary.BigEndian.AppendUint16(records, uint16(len(a.AsSlice())))
		records = append(records, a.AsSlice()...)
	}
	header := bytes.Clone(question[:2])                       // the number of the question
	header = append(header, 0x81, 0x80|byte(code))            // an answer, recursion asked for and done
	header = append(header, 0, 1, 0, byte(count), 0, 0, 0, 0) // one question, some answers
	return append(append(header, question[dnsHeader:]...), records...)
}

// loopbacks are a name's addresses of both families.
func loopbacks() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}
}
