package serving

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// idleConns are a server's idle connections, by when they became idle. A client reuses
// the one first that it used last, so one that has been idle for a while can be closed with
// little risk that a request is just being sent on it.
type idleConns struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time
}

// note implements the server's ConnState.
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

// close closes those that have been idle for that long, and returns how many are left. A
// connection on which a request has arrived that the server has not read yet is not idle.
func (c *idleConns) close(idle time.Duration) (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, since := range c.since {
		if time.Since(since) >= idle && !arrived(conn) {
			_ = conn.Close() // note removes it
			delete(c.since, conn)
		}
	}
	return len(c.since)
}
