package gossip

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator/callers"
)

// Bounds on what others may send by streams at one time. memberlist reads what a stream
// announces, up to 20 MiB, before it finds out whether whoever sent it has the key.
const (
	// maxStream is what one stream may bring, in bytes: the state of a fleet, some 700 bytes a
	// replica.
	maxStream = 256 << 10
	// maxStreams are open at a time, and maxStreamsFrom from one network. A replica opens one
	// to each of the others every few seconds at most, for some milliseconds.
	maxStreams     = 64
	maxStreamsFrom = 16
	// exchange is more than a replica's stream takes: who keeps one for longer loses it for
	// another.
	exchange = 250 * time.Millisecond
)

// inbound is a transport whose streams from others are bounded in number and in size. Where there
// are too many, one is closed; one that is too large fails. The gossip tries again.
type inbound struct {
	memberlist.NodeAwareTransport
	streams chan net.Conn
	quit    chan struct{} // nobody takes streams any more
	done    chan struct{} // none comes any more
	running sync.WaitGroup
	log     *zap.Logger
	open    *callers.Bound
}

func bounded(t memberlist.NodeAwareTransport, log *zap.Logger) *inbound {
	b := &inbound{NodeAwareTransport: t, streams: make(chan net.Conn), quit: make(chan struct{}), done: make(chan struct{}), log: log, open: callers.New(maxStreams, maxStreamsFrom, exchange)}
	b.running.Go(b.accept)
	return b
}

// accept passes streams on until quit, and from then on ends them.
func (b *inbound) accept() {
	for {
		select {
		case conn := <-b.NodeAwareTransport.StreamCh():
			b.pass(conn)
		case <-b.done:
			return
		}
	}
}

func (b *inbound) pass(conn net.Conn) {
	caller, over := b.open.Enter(conn)
	if over != nil {
		b.log.Warn("too many streams of gossip are open at a time; one was closed", zap.Stringer("from", over.RemoteAddr()))
		_ = over.Close()
	}
	if caller == nil {
		return
	}
	stream := &boundedStream{Conn: conn, left: maxStream, caller: caller}
	select {
	case b.streams <- stream:
	case <-b.quit:
		_ = stream.Close()
	}
}

// StreamCh implements memberlist.Transport.
func (b *inbound) StreamCh() <-chan net.Conn { return b.streams }

// Shutdown implements memberlist.Transport.
func (b *inbound) Shutdown() error {
	close(b.quit)
	err := b.NodeAwareTransport.Shutdown() // which waits until the last stream is taken
	close(b.done)
	b.running.Wait()
	return err
}

// boundedStream is one that brings no more than it may.
type boundedStream struct {
	net.Conn
	left   int
	caller *callers.Caller
}

// Read implements net.Conn.
func (s *boundedStream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *boundedStream) Close() error {
	s.caller.Leave()
	return s.Conn.Close()
}
