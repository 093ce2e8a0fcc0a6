package serving

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentConnectionsAreNotAccepted wants gRPC to have a connection once its client has said something,
// all that it said, and those that say nothing to be closed: in time, and with the listener.
func TestSilentConnectionsAreNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, 1<<20, 1<<10, &lends{})
		accepted := make(chan net.Conn)
		go func() {
			for {
				conn, err := bounded.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- conn
			}
		}()
		gone := func(what string, conn net.Conn, want time.Duration) {
			t.Helper()
			began := time.Now()
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) != want {
				t.Errorf("%s: %v after %v, want it to be closed after %v", what, err, time.Since(began), want)
			}
		}
		silent, speaks := l.dial(), l.dial()
		go func() { _, _ = io.WriteString(speaks, "PRI") }()
		conn := <-accepted
		said := make([]byte, 3)
		if _, err := io.ReadFull(conn, said); err != nil || string(said) != "PRI" {
			t.Errorf("it is read as %q: %v", said, err)
		}
		gone("one that says nothing", silent, greetWithin)
		last := l.dial()
		synctest.Wait()
		_ = bounded.Close()
		gone("one that has said nothing at the end", last, 0)
		if _, ok := <-accepted; ok {
			t.Error("another one was accepted")
		}
		_ = conn.Close()
		_ = speaks.Close()
		time.Sleep(patience)
	})
}
