// Package freeport finds addresses for tests whose process cannot be told to choose its own, or
// that want nobody to answer.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The ports to choose from lie below those that systems give to outgoing connections: one of
// those could be taken before a process listens, and whoever connects to it again and again while
// nobody does is in the end given it for its own side, and so connected to itself.
const (
	first = 10_000
	ports = 20_000
)

// Address is one on loopback that nobody listened at just now.
func Address(tb testing.TB) string {
	tb.Helper()
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+rand.IntN(ports))); err == nil {
			defer l.Close() //nolint:errcheck // it only held the port
			return l.Addr().String()
		}
	}
	tb.Fatalf("no free port: %v", err)
	return ""
}
