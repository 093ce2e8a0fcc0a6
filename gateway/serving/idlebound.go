package serving

import (
	"net"
	"net/http"
	"sync"

	"github.com/weirflow/weir/internal/list"
)

const (
	// idleBytes is what a connection takes in memory while there is no request on it, and
	// secureIdleBytes what one by TLS does.
	idleBytes       = 16 << 10
	secureIdleBytes = 48 << 10
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
	order list.List[net.Conn] // the one that has been idle for longest first
	nodes map[net.Conn]*list.Node[net.Conn]
}

func boundIdle(most int64) *idleBound {
	return &idleBound{most: most, nodes: make(map[net.Conn]*list.Node[net.Conn])}
}

// takes is what a connection takes while it is idle, in bytes.
func takes(conn net.Conn) int64 {
	if _, ok := conn.(*secureConn); ok {
		return secureIdleBytes
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
	node := &list.Node[net.Conn]{Value: conn}
	b.nodes[conn] = node
	b.order.PushBack(node)
	b.used += takes(conn)
	for b.used > b.most {
		oldest, _ := b.order.Front()
		b.remove(oldest)
		if secure, ok := oldest.(*secureConn); ok {
			oldest = secure.raw // which is closed without a word that it would have to take
		}
		_ = oldest.Close()
	}
}

func (b *idleBound) remove(conn net.Conn) {
	if node, ok := b.nodes[conn]; ok {
		node.Remove()
		delete(b.nodes, conn)
		b.used -= takes(conn)
	}
}
