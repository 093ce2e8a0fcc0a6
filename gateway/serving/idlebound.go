package serving

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weirflow/weir/internal/list"
)

const (
	// idleBytes is what a connection takes in memory while there is no request on it, secureNewBytes
	// what one by TLS does after its handshake, and secureIdleBytes after a request.
	idleBytes       = 16 << 10
	secureNewBytes  = 32 << 10
	secureIdleBytes = 48 << 10
	// rpcIdleBytes is what a connection of gRPC takes while there is no stream on it, secureRPCBytes what TLS
	// does beside.
	rpcIdleBytes   = 24 << 10
	secureRPCBytes = 16 << 10
	// grace is how long one has been idle at least that is closed: a handshake may be under way, or a
	// request. So there may be more than fit, by those that came or became idle in that time.
	grace = 2 * time.Second
)

// idleBound bounds the memory of a server's connections on which there is no request, or none yet:
// where there are too many, the one that has been idle for longest is closed. A client uses the one
// first that it used last.
//
// Invariant: used is the sum of what those in nodes take, and they are those in order.
type idleBound struct {
	most int64

	mu    sync.Mutex
	used  int64
	later bool                // it looks again for what may be closed
	order list.List[idleConn] // the one that has been idle for longest first
	nodes map[net.Conn]*list.Node[idleConn]
}

// idleConn is a connection, and from when on it may be closed.
type idleConn struct {
	net.Conn
	from  time.Time
	takes int64 // bytes
}

func boundIdle(most int64) *idleBound {
	return &idleBound{most: most, nodes: make(map[net.Conn]*list.Node[idleConn])}
}

// oldest is the connection that has been idle for longest, if that may be closed; nil if not.
func (b *idleBound) oldest() net.Conn {
	if c, ok := b.order.Front(); ok && time.Now().After(c.from) {
		return c.Conn
	}
	return nil
}

// takes is what a connection takes while it is idle, in bytes.
func takes(conn net.Conn, state http.ConnState) int64 {
	if c, ok := conn.(*messageConn); ok {
		if _, secure := c.Conn.(*tls.Conn); secure {
			return rpcIdleBytes + secureRPCBytes
		}
		return rpcIdleBytes
	}
	switch c, ok := conn.(*secureConn); {
	case ok && state == http.StateIdle:
		return secureIdleBytes
	case ok && c.ready.Load():
		return secureNewBytes
	}
	return idleBytes
}

// note is told what the server's connections are doing.
func (b *idleBound) note(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(conn)
	if state != http.StateNew && state != http.StateIdle {
		return
	}
	node := &list.Node[idleConn]{Value: idleConn{conn, time.Now().Add(grace), takes(conn, state)}}
	b.nodes[conn] = node
	b.order.PushBack(node)
	b.used += node.Value.takes
	b.shrink()
}

// shrink closes what is beyond the bound and may be closed. If something is left, it looks again later.
func (b *idleBound) shrink() {
	for b.used > b.most {
		oldest := b.oldest()
		if oldest == nil {
			if !b.later {
				b.later = true
				time.AfterFunc(grace/4, func() {
					b.mu.Lock()
					defer b.mu.Unlock()
					b.later = false
					b.shrink()
				})
			}
			return
		}
		node := b.nodes[oldest]
		if !greets(oldest) && arrived(oldest) { // something has come that has yet to be read
			node.Remove()
			node.Value.from = time.Now().Add(grace)
			b.order.PushBack(node)
			continue
		}
		b.remove(oldest)
		_ = below(oldest).Close()
	}
}

// greets reports whether the connection is one by TLS that has yet to have its turn for a handshake.
func greets(conn net.Conn) bool {
	switch c := conn.(type) {
	case *secureConn:
		return !c.ready.Load()
	case *helloConn:
		return c.secure
	}
	return false
}

func (b *idleBound) remove(conn net.Conn) {
	if node, ok := b.nodes[conn]; ok {
		node.Remove()
		delete(b.nodes, conn)
		b.used -= node.Value.takes
	}
}
