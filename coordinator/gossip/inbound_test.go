package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStreamsAreBounded has strangers without the key announce and send 20 MiB each by many
// streams: little of it is read, most streams are closed at once, and the fleet goes on.
func TestStreamsAreBounded(t *testing.T) {
	keyed := func(c *Config) { c.Label, c.Key = "weir", bytes.Repeat([]byte{7}, 32) }
	a := start(t, "a", keyed)
	const announced = 20 << 20
	hello := append([]byte{244, 4}, "weir"...)                                          // the label
	hello = binary.BigEndian.AppendUint32(append(hello, 10 /* encrypted */), announced) // and how much
	var taken atomic.Int64
	var strangers sync.WaitGroup
	for range 60 {
		strangers.Go(func() {
			conn, err := net.Dial("tcp", a.Address())
			if err != nil {
				return // no more are taken
			}
			defer conn.Close() //nolint:errcheck // it may be closed
			_ = conn.SetDeadline(time.Now().Add(patience))
			part := make([]byte, 64<<10)
			for next := hello; ; next = part {
				n, err := conn.Write(next)
				taken.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	strangers.Wait()
	// What the kernel buffers at both ends counts, too, some megabytes a stream.
	if most := int64(60 * announced / 2); taken.Load() > most {
		t.Errorf("%d MB were taken from strangers", taken.Load()>>20)
	}
	b := start(t, "b", keyed, a)
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
}

// TestStreamsOfOneAddress has one address keep streams open that say nothing: no more than
// those that it may have, and there is room again once they are over.
func TestStreamsOfOneAddress(t *testing.T) {
	a := start(t, "a", func(c *Config) { c.silence = time.Hour })
	const kept = maxStreamsFrom
	over := make(chan struct{}, 3*kept)
	for range cap(over) {
		conn, err := net.Dial("tcp", a.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // it may be closed
		go func() {        // ends with the connection
			_, _ = conn.Read(make([]byte, 1))
			over <- struct{}{}
		}()
	}
	a.says(t, "too many streams of gossip are open at a time")
	for range cap(over) - kept {
		select {
		case <-over:
		case <-time.After(patience):
			t.Fatal("streams beyond the bound stay open")
		}
	}
	select {
	case <-over:
		t.Errorf("more of %d streams were closed than all but %d", cap(over), kept)
	case <-time.After(200 * time.Millisecond):
	}
	b := start(t, "b", nil, a)
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
}

// TestStreamsOfManyAddresses has some addresses keep as many streams open as there may be, which say
// nothing, and open another for each that ends: a replica at another address joins all the same.
func TestStreamsOfManyAddresses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: there is one address on loopback")
	}
	a := start(t, "a", nil)
	var strangers sync.WaitGroup
	over, end := context.WithCancel(t.Context())
	defer strangers.Wait()
	defer end()
	var open atomic.Int64
	for i := range 8 * maxStreamsFrom {
		strangers.Go(func() {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(10+i%8))}}
			for over.Err() == nil {
				conn, err := from.DialContext(over, "tcp", a.Address())
				if err != nil {
					continue
				}
				open.Add(1)
				stop := context.AfterFunc(over, func() { _ = conn.Close() })
				_, _ = conn.Read(make([]byte, 1))
				stop()
				open.Add(-1)
				_ = conn.Close()
				time.Sleep(5 * time.Millisecond) // or there would be no CPU for others
			}
		})
	}
	for began := time.Now(); open.Load() < maxStreams; time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("the strangers' streams are not taken")
		}
	}
	b := start(t, "b", nil, a)
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
}

// TestNoiseIsSeldomLogged sends packets that are none: their kind is named, and few of them.
func TestNoiseIsSeldomLogged(t *testing.T) {
	a := start(t, "a", func(c *Config) { c.Label = "weir" })
	conn, err := net.Dial("udp", a.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it may be closed
	for i := range 2000 {
		fmt.Fprintf(conn, "\xf4\x05other%d", i)
	}
	const kind = "memberlist: discarding packet with unacceptable label"
	a.says(t, kind)
	time.Sleep(200 * time.Millisecond) // for more of them
	lines := 0
	for _, e := range a.logs.All() {
		if e.Message == kind {
			lines++
		}
	}
	if lines > 20 { // ten, and ten more if the ten seconds ended meanwhile
		t.Errorf("%d lines say of what kind the noise was", lines)
	}
}
