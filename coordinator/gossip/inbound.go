package gossip

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"

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
	// exchange is more than a replica's stream takes: who keeps one for longer loses it for
	// another.
	exchange = 250 * time.Millisecond
)

// inbound is a transport whose streams from others are bounded in number and in size. Where there
// are too many, the address with most of them loses the one that is open for longest, unless the new
// one is of such an address and the others have come just now: then it is the new one. One that is
// too large fails. The gossip tries again.
type inbound struct {
	memberlist.NodeAwareTransport
	streams chan net.Conn
	quit    chan struct{} // nobody takes streams any more
	done    chan struct{} // none comes any more
	running sync.WaitGroup
	log     *zap.Logger

	mu   sync.Mutex
	open map[string][]*boundedStream // by address, the one that is open for longest first
	all  int
}

func bounded(t memberlist.NodeAwareTransport, log *zap.Logger) *inbound {
	b := &inbound{NodeAwareTransport: t, streams: make(chan net.Conn), quit: make(chan struct{}), done: make(chan struct{}), log: log, open: make(map[string][]*boundedStream)}
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
	stream, over := b.enter(conn)
	if over != nil {
		b.log.Warn("too many streams of gossip are open at a time; one was closed", zap.Stringer("from", over.RemoteAddr()))
		_ = over.Close()
	}
	if stream == nil {
		return
	}
	select {
	case b.streams <- stream:
	case <-b.quit:
		_ = stream.Close()
	}
}

// enter counts a stream, if there is room for it, and returns which one is to be closed, if one is:
// another, or the connection that there is no room for.
func (b *inbound) enter(conn net.Conn) (stream *boundedStream, over net.Conn) {
	from := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == maxStreams || len(b.open[from]) == maxStreamsFrom {
		loser := from
		if len(b.open[from]) < maxStreamsFrom {
			for address, open := range b.open {
				if len(open) > len(b.open[loser]) {
					loser = address
				}
			}
		}
		if len(b.open[loser]) <= len(b.open[from])+1 && (len(b.open[loser]) == 0 || time.Since(b.open[loser][0].since) < exchange) {
			return nil, conn
		}
		oldest := b.open[loser][0]
		b.remove(oldest)
		over = oldest
	}
	stream = &boundedStream{Conn: conn, left: maxStream, inbound: b, from: from, since: time.Now()}
	b.all++
	b.open[from] = append(b.open[from], stream)
	return stream, over
}

// leave counts the stream no more, if it is counted.
func (b *inbound) leave(s *boundedStream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(s)
}

func (b *inbound) remove(s *boundedStream) {
	open := b.open[s.from]
	i := slices.Index(open, s)
	if i < 0 {
		return
	}
	b.all--
	if b.open[s.from] = slices.Delete(open, i, i+1); len(open) == 1 {
		delete(b.open, s.from)
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
	left    int
	inbound *inbound
	from    string // an address
	since   time.Time
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
	s.inbound.leave(s)
	return s.Conn.Close()
}
