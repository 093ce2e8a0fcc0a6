// Package freeport finds addresses for tests whose process cannot be told to choose its own, or
// that want nobody to answer.
package freeport

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// The ports to choose from lie below those that systems give to outgoing connections: one of
// those could be taken before a process listens, and whoever connects to it again and again while
// nobody does is in the end given it for its own side, and so connected to itself.
const (
	first = 10_000
	ports = 20_000
)

// A port is free until somebody listens at it, which those who are told it do later. So each test
// process has a hundred of its own, by its id, and gives them out in turn: drawn at random, two
// of the thirty that a fleet needs are the same in one of fifty runs.
const own = 100

var drawn atomic.Uint32 // how many of them this process gave out

// Address is one on loopback that nobody listened at just now, and that the last hundred calls in
// this process did not return. It is safe for concurrent use.
func Address(tb testing.TB) string {
	tb.Helper()
	var err error
	for range own {
		port := first + (os.Getpid()*own+int(drawn.Add(1)%own))%ports
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			defer l.Close() //nolint:errcheck // it only held the port
			return l.Addr().String()
		}
	}
	tb.Fatalf("no free port: %v", err)
	return ""
}
