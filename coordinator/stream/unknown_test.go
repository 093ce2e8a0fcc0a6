package stream

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestUnknownAreBounded has strangers at one address keep connections open that say nothing: no more
// than may be, while replicas at that address connect, which are known once they have proven
// or said who they are and are not counted any more.
func TestUnknownAreBounded(t *testing.T) {
	for name, key := range map[string][]byte{"with a key": bytes.Repeat([]byte{7}, 32), "without": nil} {
		t.Run(name, func(t *testing.T) {
			keyed := func(c *Config) { c.Key = key }
			a, b := start(t, "a", keyed), start(t, "b", keyed)
			var open []net.Conn
			for range 3 * maxUnknownFrom {
				conn, err := net.Dial("tcp", b.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close() //nolint:errcheck // it may be closed
				open = append(open, conn)
			}
			b.waitLog(t, errCrowded.Error())
			var closed atomic.Int64
			var reading sync.WaitGroup
			for _, conn := range open {
				_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // one that says nothing may stay for 5 s
				reading.Go(func() {
					for part := make([]byte, 1<<10); ; { // without a key the server begins to speak
						var late net.Error
						if _, err := conn.Read(part); err != nil {
							if !errors.As(err, &late) || !late.Timeout() {
								closed.Add(1)
							}
							return
						}
					}
				})
			}
			reading.Wait()
			if closed := closed.Load(); closed != 2*maxUnknownFrom {
				t.Errorf("%d connections of %d were closed at once, want all but %d", closed, len(open), maxUnknownFrom)
			}
			introduce(a, b)
			wait(t, "the stream at a", a.up)
			wait(t, "the stream at b", b.up)
			if a.Refused() > 0 {
				t.Errorf("%d refused at the replica that nobody bothers", a.Refused())
			}
		})
	}
}
