package gossip

import (
	"io"
	"net"
	"sync"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// Bounds on what others may send by streams at one time. memberlist reads what a stream
// announces, up to 20 MiB, before it finds out whether whoever sent it has the key.
const (
	// maxStream is what one stream may bring, in bytes: the state of a fleet, some 700 bytes a
	// replica.
	maxStream = 256 << 10
	// maxStreams are open at a time, and maxStreamsFrom from one address. A replica opens one
	// to each of the others every few seconds at most, for some milliseconds.
	maxStreams     = 64
	maxStreamsFrom = 16
)

// inbound is a transport whose streams from others are bounded in number and in size. One that
// is too many is closed at once, one that is too large fails: the gossip tries again.
type inbound struct {
	memberlist.NodeAwareTransport
	streams chan net.Conn
	quit    chan struct{} // nobody takes streams any more
	done    chan struct{} // none comes any more
	running sync.WaitGroup
	log     *zap.Logger

	mu   sync.Mutex
	open map[string]int // by address
	all  int
}

func bounded(t memberlist.NodeAwareTransport, log *zap.Logger) *inbound {
	b := &inbound{NodeAwareTransport: t, streams: make(chan net.Conn), quit: make(chan struct{}), done: make(chan struct{}), log: log, open: make(map[string]int)}
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
	from, ok := b.enter(conn.RemoteAddr())
	if !ok {
		b.log.Warn("too many streams of gossip are open at a time; one more was closed", zap.Stringer("from", conn.RemoteAddr()))
		_ = conn.Close()
		return
	}
	stream := &boundedStream{Conn: conn, left: maxStream, leave: sync.OnceFunc(func() { b.leave(from) })}
	select {
	case b.streams <- stream:
	case <-b.quit:
		_ = stream.Close()
	}
}

// enter counts a stream, if there is room for it.
func (b *inbound) enter(remote net.Addr) (from string, ok bool) {
	from = remote.String()
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == maxStreams || b.open[from] == maxStreamsFrom {
		return "", false
	}
	b.all++
	b.open[from]++
	return from, true
}

func (b *inbound) leave(from string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.open[from]--; b.open[from] == 0 {
		delete(b.open, from)
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
	left  int
	leave func()
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
	s.leave()
	return s.Conn.Close()
}
