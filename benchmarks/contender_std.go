package main

import (
	"log"
	"net"
)

// The buffer of a std connection starts small, for the sake of many idle ones,
// and doubles with each read that fills it, for the sake of bulk. In bytes.
const (
	stdBufferMin = 4 << 10
	stdBufferMax = 64 << 10
)

// startStd serves with package net, as most Go servers do.
func startStd() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				log.Fatal("std: ", err)
			}
			go echoStd(c)
		}
	}()
	return l.Addr().String(), nil
}

// echoStd serves one connection until its peer leaves. Not by io.Copy, which
// would hand the bytes to the kernel's splice and never see them.
func echoStd(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, stdBufferMin)
	for {
		n, err := c.Read(buffer)
		if n > 0 {
			if _, err := c.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if n == len(buffer) && n < stdBufferMax {
			buffer = make([]byte, 2*n)
		}
	}
}
