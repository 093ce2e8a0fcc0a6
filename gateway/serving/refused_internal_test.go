package serving

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// refuser ends so many streams, the first ones first, as a server does that it is asked of.
type refuser struct {
	end  func(stream uint32)
	left atomic.Int64 // streams that it knows
	last uint32
}

func (r *refuser) Refuse(_ string, streams int) (refused int) {
	for ; refused < streams && r.left.Add(-1) >= 0; refused++ {
		r.last += 2
		go r.end(r.last - 1)
	}
	return refused
}

// TestStreamsAreRefused has streams that say nothing for a second, of more than there may be. As many are refused
// as are too many; the connection is closed where the server knows of none, and no sooner.
func TestStreamsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, most = 150, 100 * rpcBytes
		l, r := &near{conns: make(chan net.Conn), closed: make(chan struct{})}, &refuser{}
		bounded := BoundMessages(l, nil, most, 0, &lends{most: most}, r)
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		ours, f, server := rpc(t, l, bounded, 16<<10)
		go func() { _, _ = io.Copy(io.Discard, ours) }() // ends with the connection
		r.end = func(stream uint32) {
			var answer bytes.Buffer
			_ = http2.NewFramer(&answer, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			_, _ = server.Write(answer.Bytes())
		}
		last := uint32(1)
		open := func(n int) {
			for range n {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: last, BlockFragment: []byte{0x83}, EndHeaders: true})
				last += 2
			}
			synctest.Wait()
		}
		_ = f.WriteSettings()
		r.left.Store(streams)
		open(streams)
		is := func(when string, want int64, conns int) {
			t.Helper()
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			if used := m.used.Load(); used != want*rpcBytes || len(m.conns) != conns || m.lent.Load() != 0 {
				t.Errorf("%s: %d streams of %d connections are there, and %d bytes lent; want %d of %d", when, used/rpcBytes, len(m.conns), m.lent.Load(), want, conns)
			}
		}
		time.Sleep(patience - lookAgain)
		is("before a second is over", streams, 1)
		time.Sleep(3 * lookAgain)
		is("after it", most/rpcBytes, 1)
		time.Sleep(3 * patience)
		is("for long", most/rpcBytes, 1)
		r.left.Store(0)
		open(1)
		time.Sleep(2 * lookAgain)
		is("none is known, and those cut off have yet to let go", most/rpcBytes+1, 0)
		time.Sleep(patience)
		is("all are gone", 0, 0)
	})
}
