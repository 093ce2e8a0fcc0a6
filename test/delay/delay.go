// Package delay makes the way to a server longer, or cuts it. It needs nothing of Weir, so that
// benchmarks that use it run on other versions, too.
package delay

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Way is one to a TCP server on which everything takes longer, in both directions,
// and nothing is lost or overtaken until it is cut.
type Way struct {
	// Address is where to connect to instead of the server.
	Address string

	server         string
	oneWay, jitter atomic.Int64
	cut            atomic.Bool
	open           sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// Start returns a way to the server, without delay so far. It ends with the test.
func Start(tb testing.TB, server string) *Way {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d := &Way{Address: l.Addr().String(), server: server}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", d.server)
			if err != nil {
				_ = client.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, client, server)
			d.mu.Unlock()
			d.open.Go(func() { d.pass(client, server) })
			d.open.Go(func() { d.pass(server, client) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		accepting.Wait() // or one that was just accepted would stay open
		d.end()
		d.open.Wait()
	})
	return d
}

// Set makes a round trip take so much longer, and up to jitter more, drawn anew for
// each piece.
func (d *Way) Set(roundTrip, jitter time.Duration) {
	d.oneWay.Store(int64(roundTrip / 2))
	d.jitter.Store(int64(jitter / 2))
}

// Cut loses whatever either end sends from now on, as a network does that no longer leads
// there: nobody is told.
func (d *Way) Cut() { d.cut.Store(true) }

// Heal ends the cut. What was open then is reset, since it lacks bytes.
func (d *Way) Heal() {
	d.end()
	d.cut.Store(false)
}

// end closes all that is open.
func (d *Way) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

// piece is bytes on their way.
type piece struct {
	due   time.Time
	bytes []byte
}

// pass carries bytes one way until either end closes.
func (d *Way) pass(from, to net.Conn) {
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				due := time.Now().Add(time.Duration(d.oneWay.Load()))
				if j := d.jitter.Load(); j > 0 {
					due = due.Add(time.Duration(rand.Int64N(j)))
				}
				pieces <- piece{due, buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	var err error
	for p := range pieces {
		if err != nil {
			continue // the reader ends once its side is closed
		}
		time.Sleep(time.Until(p.due))
		if d.cut.Load() {
			continue
		}
		if _, err = to.Write(p.bytes); err != nil {
			_ = from.Close()
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
}
