package serving

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/internal/stacks"
)

const (
	// handshakeBytes is what a connection takes in memory while it has its turn to make a handshake of TLS.
	handshakeBytes = 40 << 10
	// longestHandshake is how many bytes a client may send for one. Those that there are send 2 kB.
	longestHandshake = 16 << 10
	// turnWithin is within what time one that waits has its turn. It must not be longer than grace, or
	// its connection would be closed for being idle before.
	turnWithin = grace
)

// errLongHandshake says that a client sends more than a handshake needs.
var errLongHandshake = errors.New("the handshake is too long")

// handshakes bounds the memory of handshakes of TLS: those for which there is no room wait for
// their turn, in order. While some wait, the time for which one may wait for its client is such that
// whoever is in line has its turn within turnWithin, however many there are: with room for r, and d the
// most that have had or wanted it since none was in line, turnWithin·r/d. The last in line waits for at
// most (d−r)/r times as long, which is less than turnWithin.
//
// Invariant: none is in line while there is room; held is at most room.
type handshakes struct {
	room int

	mu    sync.Mutex
	held  int                   // have their turn
	lined int                   // are in line
	crowd int                   // the most of both since none was in line
	line  list.List[*handshake] // in order
	await heap.Heap[*handshake] // those that wait for their client; first the one that has for longest
	timer *time.Timer           // looks for one that takes too long, while some are in line
}

// handshake is one that has its turn, or is in line for it.
type handshake struct {
	conn  net.Conn // below TLS
	node  list.Node[*handshake]
	turn  chan struct{} // closed once it has its turn
	holds bool          // its turn
	since time.Time     // it waits for its client, less for how long it has before
	spent time.Duration // on that, when it does not
	index int           // among those that do; 0 for none
}

func newHandshakes(most int64) *handshakes {
	h := &handshakes{room: max(int(most/handshakeBytes), 1)}
	h.await.Init(func(x, y *handshake) bool { return x.since.Before(y.since) }, func(s *handshake) *int { return &s.index })
	return h
}

// shake has the handshake on the connection made when it is its turn, on another goroutine's stack.
func (h *handshakes) shake(hello *helloConn, conn net.Conn, on *stacks.Pool, handshake func() error) (err error) {
	turn := h.begin(conn)
	defer h.end(turn)
	hello.waits = func(does bool) { h.waits(turn, does) }
	on.Do(func() { err = handshake() })
	hello.waits = nil
	return err
}

// begin returns once the handshake on the connection has its turn. It is to be ended.
func (h *handshakes) begin(conn net.Conn) *handshake {
	s := &handshake{conn: conn, turn: make(chan struct{})}
	s.node.Value = s
	h.mu.Lock()
	h.line.PushBack(&s.node)
	h.lined++
	h.next()
	h.mu.Unlock()
	<-s.turn
	return s
}

// end ends a handshake's turn.
func (h *handshakes) end(s *handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(s)
	h.next()
}

// waits says that a handshake waits for its client from now on, or does no more. What it takes
// of the processor is not its client's fault.
func (h *handshakes) waits(s *handshake, does bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !s.holds:
	case does:
		s.since = time.Now().Add(-s.spent)
		h.await.Push(s)
		h.next()
	case s.index > 0:
		h.await.Remove(s)
		s.spent = time.Since(s.since)
	}
}

// leave takes its turn from a handshake, if it has it yet.
func (h *handshakes) leave(s *handshake) {
	if !s.holds {
		return
	}
	s.holds = false
	h.held--
	h.await.Remove(s)
}

// next gives turns to those in line, as far as there is room. If some still are, it ends those
// handshakes that wait for too long, now and later.
func (h *handshakes) next() {
	now := time.Now() // one: whoever has something that has yet to be read has its time anew once
	for h.lined > 0 {
		h.crowd = max(h.crowd, h.held+h.lined)
		if h.held >= h.room {
			if h.await.Len() == 0 {
				return // until one waits, or ends
			}
			longest := h.await.Min()
			if left := turnWithin*time.Duration(h.room)/time.Duration(h.crowd) - now.Sub(longest.since); left > 0 {
				h.look(left)
				return
			}
			if arrived(longest.conn) { // and it has yet to run
				longest.since = now
				h.await.Fix(longest)
				continue
			}
			h.leave(longest)
			_ = longest.conn.Close()
		}
		s, _ := h.line.Front()
		s.node.Remove()
		h.lined--
		s.holds = true
		h.held++
		close(s.turn)
	}
	h.crowd = 0
}

// look has next called later.
func (h *handshakes) look(later time.Duration) {
	if h.timer != nil {
		h.timer.Reset(later)
		return
	}
	h.timer = time.AfterFunc(later, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.next()
	})
}

// helloConn is a connection of which nothing has been read, below TLS. Its first byte is taken before the handshake, which so begins
// only once its client does.
type helloConn struct {
	net.Conn
	secure bool // TLS is above it
	first  [1]byte
	taken  bool       // the first byte is there, and has yet to be read by TLS
	waits  func(bool) // is told when the handshake waits for the client, and no more; nil once that is over
	came   int        // bytes of it
}

// await takes the first byte.
func (c *helloConn) await() error {
	n, err := c.Conn.Read(c.first[:])
	c.taken = n == 1
	return err //nolint:wrapcheck // as the connection says it
}

// NetConn is the connection below.
func (c *helloConn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn, for TLS.
func (c *helloConn) Read(p []byte) (int, error) {
	if c.taken && len(p) > 0 {
		c.taken = false
		return copy(p, c.first[:]), nil
	}
	if c.waits == nil {
		return c.Conn.Read(p) //nolint:wrapcheck // as the connection says it
	}
	if c.came >= longestHandshake {
		return 0, errLongHandshake
	}
	c.waits(true)
	n, err := c.Conn.Read(p[:min(len(p), longestHandshake-c.came)])
	c.waits(false)
	c.came += n
	return n, err //nolint:wrapcheck // as the connection says it
}
