package serving

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// idleConns are a server's connections that carry no request, by when they became
// idle. A client uses those first that it used last, so one that has been idle for a
// while can be closed with little risk that it is just sending a request.
type idleConns struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time
}

// note is the server's ConnState.
func (c *idleConns) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since == nil {
		c.since = make(map[net.Conn]time.Time)
	}
	if state == http.StateNew || state == http.StateIdle {
		c.since[conn] = time.Now()
	} else {
		delete(c.since, conn)
	}
}

// close closes those that have been idle for so long, and returns how many are left.
func (c *idleConns) close(idle time.Duration) (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, since := range c.since {
		if time.Since(since) >= idle {
			_ = conn.Close() // the server hears of it
			delete(c.since, conn)
		}
	}
	return len(c.since)
}
