// Package callers bounds how many connections a port has at a time of whose other ends nothing is
// known yet.
package callers

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bound is on the callers of a port: at most so many in all, and so many of one network, which is an
// address of IPv4 or a /64 of IPv6, where each host has as many addresses as it wants. Where there are
// too many, the network with most of them loses the one that is there for longest (of networks with
// equally many, the one that has had one for longest), unless the new one is of such a network and the
// others have come just now: then it is the new one. Its methods are safe for concurrent use.
type Bound struct {
	most, mostFrom int
	patience       time.Duration

	mu   sync.Mutex
	here map[string][]*Caller // by network, the one that is there for longest first
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
	from  string // a network
	since time.Time
}

// Enter counts a connection, if there is room for it, and returns which one is to be closed, if one
// is: another, or the connection that there is no room for, with a nil Caller.
func (b *Bound) Enter(conn net.Conn) (c *Caller, over net.Conn) {
	from := Network(conn.RemoteAddr().String())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == b.most || len(b.here[from]) == b.mostFrom {
		loser := b.here[from]
		if len(loser) < b.mostFrom {
			loser = b.largest()
		}
		oldest := loser[0]
		if len(loser) <= len(b.here[from])+1 && time.Since(oldest.since) < b.patience {
			return nil, conn
		}
		b.remove(oldest)
		over = oldest.conn
	}
	c = &Caller{bound: b, conn: conn, from: from, since: time.Now()}
	b.all++
	b.here[from] = append(b.here[from], c)
	return c, over
}

// largest returns the callers of the network with most of them; of several such, of the one whose
// oldest is the oldest. There must be some.
func (b *Bound) largest() (most []*Caller) {
	for _, here := range b.here {
		if len(here) > len(most) || len(here) == len(most) && here[0].since.Before(most[0].since) {
			most = here
		}
	}
	return most
}

// Network returns the network that an address counts for, which may have a port: itself for one of IPv4 and for
// what is no IP address, a /64 for one of IPv6.
func Network(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	network := netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
	if ip.Zone() != "" {
		network += "%" + ip.Zone()
	}
	return network
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
