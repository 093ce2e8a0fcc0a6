package stream

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

// TestUnknownAreBounded has strangers at one address keep connections open that say nothing: no more
// than may be, while replicas at that address connect, which are known once they have proven
// or said who they are and are not counted any more.
func TestUnknownAreBounded(t *testing.T) {
	for name, key := range map[string][]byte{"with a key": bytes.Repeat([]byte{7}, 32), "without": nil} {
		t.Run(name, func(t *testing.T) {
			keyed := func(c *Config) { c.Key = key }
			var tally *tallying
			a, b := start(t, "a", keyed), start(t, "b", func(c *Config) {
				keyed(c)
				tally = &tallying{Listener: c.Listener}
				c.Listener = tally
			})
			const kept = maxUnknownFrom
			began := time.Now()
			over := make(chan struct{}, 3*kept)
			for range cap(over) {
				conn, err := net.Dial("tcp", b.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close() //nolint:errcheck // it may be closed
				go func() {        // ends with the connection
					_, _ = io.Copy(io.Discard, conn) // without a key the server begins to speak
					over <- struct{}{}
				}()
			}
			b.waitLog(t, errCrowded.Error())
			for range cap(over) - kept {
				wait(t, "the end of a connection beyond the bound", over)
			}
			select {
			case <-over:
				if time.Since(began) < handshake { // one that says nothing may stay for that
					t.Errorf("more of %d connections were closed at once than all but %d", cap(over), kept)
				}
			case <-time.After(200 * time.Millisecond):
			}
			if n := tally.most.Load(); n != kept {
				t.Errorf("%d connections of strangers were open at most, want %d", n, kept)
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

// TestMuchFromUnknown has a stranger send messages of megabytes before it says who it is, to a replica
// without a key: the connection ends soon.
func TestMuchFromUnknown(t *testing.T) {
	a := start(t, "a", func(*Config) {})
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it may be closed
	var begin bytes.Buffer
	begin.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&begin, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	fields := hpack.NewEncoder(&head)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", ticketpb.Tickets_Connect_FullMethodName},
		{":authority", "a"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		_ = fields.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteData(1, false, []byte{0, 3, 0xff, 0xff, 0xff}); err != nil { // a message of 64 MB
		t.Fatal(err)
	}
	if _, err := conn.Write(begin.Bytes()); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	f = http2.NewFramer(conn, nil)
	taken := 0
	for part := make([]byte, 16<<10); taken < 32<<20; taken += len(part) {
		if err = f.WriteData(1, false, part); err != nil {
			break
		}
	}
	if err == nil || taken >= 16<<20 { // what the kernel buffers at both ends is some megabytes
		t.Errorf("%d MB were taken from a stranger: %v", taken>>20, err)
	}
}
