// Package callers bounds how many connections a port has at a time of whose other ends nothing is
// known yet.
package callers

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Bound is on the callers of a port: at most so many in all, and so many of one address. Where there
// are too many, the address with most of them loses the one that is there for longest, unless the new
// one is of such an address and the others have come just now: then it is the new one. Its methods
// are safe for concurrent use.
type Bound struct {
	most, mostFrom int
	patience       time.Duration

	mu   sync.Mutex
	here map[string][]*Caller // by address, the one that is there for longest first
	all  int
}

// New returns a bound on callers. The patience is more than a caller needs that means well: who is
// there for longer leaves for another.
func New(most, mostFrom int, patience time.Duration) *Bound {
	return &Bound{most: most, mostFrom: mostFrom, patience: patience, here: make(map[string][]*Caller)}
}

// Caller is a connection that is counted until it leaves.
type Caller struct {
	bound *Bound
	conn  net.Conn
	from  string // an address
	since time.Time
}

// Enter counts a connection, if there is room for it, and returns which one is to be closed, if one
// is: another, or the connection that there is no room for, with a nil Caller.
func (b *Bound) Enter(conn net.Conn) (c *Caller, over net.Conn) {
	from := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == b.most || len(b.here[from]) == b.mostFrom {
		loser := from
		if len(b.here[from]) < b.mostFrom {
			for address, here := range b.here {
				if len(here) > len(b.here[loser]) {
					loser = address
				}
			}
		}
		if len(b.here[loser]) <= len(b.here[from])+1 && (len(b.here[loser]) == 0 || time.Since(b.here[loser][0].since) < b.patience) {
			return nil, conn
		}
		oldest := b.here[loser][0]
		b.remove(oldest)
		over = oldest.conn
	}
	c = &Caller{bound: b, conn: conn, from: from, since: time.Now()}
	b.all++
	b.here[from] = append(b.here[from], c)
	return c, over
}

// Leave counts the caller no more: it is gone, or it is known who it is. It may be called again, and
// of nil.
func (c *Caller) Leave() {
	if c == nil {
		return
	}
	c.bound.mu.Lock()
	defer c.bound.mu.Unlock()
	c.bound.remove(c)
}

func (b *Bound) remove(c *Caller) {
	here := b.here[c.from]
	i := slices.Index(here, c)
	if i < 0 {
		return
	}
	b.all--
	if b.here[c.from] = slices.Delete(here, i, i+1); len(here) == 1 {
		delete(b.here, c.from)
	}
}
