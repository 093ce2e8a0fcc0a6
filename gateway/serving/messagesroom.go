package serving

import (
	"sync"
	"sync/atomic"
	"time"
)

// waitAgain is how often one that waits for room for messages looks for it.
const waitAgain = 5 * time.Millisecond

// messages counts what has not come in whole.
//
// Invariant: used is the sum of what the streams of conns take, and of cut. Beyond mostAtOnce·most and what is lent is
// what connections hold that have no more than their parts, which is most for all together, as much again
// for the one that holds the larger half, and what those bring that wait for room, one read each.
//
// What was given up or cut off is in leaving for a second. Only who gives up much, or is new, waits for that:
// what was given up is not in used, or who gives up as fast as it asks would hold up all others.
type messages struct {
	most   int64
	lines  int // of a stream's own headers, at most
	lender Lender
	idle   *idleBound
	used   atomic.Int64
	lent   atomic.Int64 // written under mu

	mu      sync.Mutex // before that of a connection
	conns   map[*messageConn]struct{}
	leaving int64 // was given up or cut off, and has yet to be let go of
	cut     int64 // of it, was taken by those that were closed for it
	later   bool  // it looks again for one to close
}

// part is what each connection may hold whatever others do.
func (m *messages) part() int64 { return m.most / int64(max(len(m.conns), 1)) }

// room returns once there is room for more that the connection has brought, beside the rest of what it
// takes. It waits for as long as patience, and then closes connections. A connection that takes no more than
// its part waits for nobody, and one that takes more than all others together has as much as most beyond
// what others have: only what comes next makes its own messages whole.
func (m *messages) room(c *messageConn, takes, more int64) {
	if more == 0 || m.used.Load() <= m.most && m.lent.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for began := time.Now(); !m.borrow() && more > 0 && m.has(c) && takes > m.part(); {
		beyond := m.used.Load() - mostAtOnce*m.most - m.lent.Load()
		if beyond <= m.most && 2*takes > m.used.Load() {
			break
		}
		if time.Since(began) >= patience && m.staying() > mostAtOnce*m.most+m.lent.Load() && m.close(0) {
			continue
		}
		m.mu.Unlock()
		time.Sleep(waitAgain)
		m.mu.Lock()
	}
	if !m.later { // else it looks soon
		m.look()
	}
}

// giveUp counts so many bytes that streams took which the connection gives up, beside what others of its
// streams take. Where more leaves than there may be, it waits for as long as patience if the connection
// has given up more than its part, or holds more and is so new that it may have come for that: who gives
// up as fast as it asks would take memory without bound else. Nobody else waits for what leaves.
func (m *messages) giveUp(c *messageConn, takes, bytes int64) {
	now := time.Now()
	if bytes == 0 && now.Sub(c.since) >= patience {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for until := now.Add(patience); m.leaving > 0 && m.leaving+bytes > m.most && m.has(c) && now.Before(until); now = time.Now() {
		if c.givenUp+bytes <= m.part() && (takes <= m.part() || now.Sub(c.since) >= patience) {
			break
		}
		m.mu.Unlock()
		time.Sleep(waitAgain)
		m.mu.Lock()
	}
	m.leave(c, bytes)
}

// leave says that so many bytes were given up by the connection, or cut off. They are counted until what
// serves them should have had a CPU to notice.
func (m *messages) leave(c *messageConn, bytes int64) {
	if bytes == 0 {
		return
	}
	count := func(bytes int64) {
		m.leaving += bytes
		if c != nil {
			c.givenUp += bytes
		}
	}
	count(bytes)
	time.AfterFunc(patience, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		count(-bytes)
	})
}

// has reports whether the connection has not been closed.
func (m *messages) has(c *messageConn) bool {
	_, ok := m.conns[c]
	return ok
}

// look closes connections, now and later, as long as more is used than may be for longer.
func (m *messages) look() {
	for m.staying() > m.most && m.close(patience) {
	}
	m.borrow()
	if m.staying() <= m.most || m.later {
		return
	}
	m.later = true
	time.AfterFunc(lookAgain, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.later = false
		m.look()
	})
}

// staying is how much is used by what has not been cut off.
func (m *messages) staying() int64 { return m.used.Load() - m.cut }

// borrow has lent what is needed of that, and no more, if there is room for it.
func (m *messages) borrow() bool {
	lent := m.lent.Load()
	switch want := max(m.used.Load()-mostAtOnce*m.most, 0); {
	case want == lent:
	case want < lent:
		m.lender.TakeBack(lent - want)
		m.lent.Store(want)
	case m.lender.Lend(want - lent):
		m.lent.Store(want)
	default:
		return false
	}
	return true
}

// close closes the connection that holds most for longest of what it has held for so long at least. It
// reports whether there was one.
func (m *messages) close(since time.Duration) bool {
	now := time.Now()
	var worst *messageConn
	most := 0.0
	for c := range m.conns {
		if held := c.held(now, since); held > most {
			worst, most = c, held
		}
	}
	if worst == nil {
		return false
	}
	delete(m.conns, worst)
	took := worst.forget()
	m.leave(nil, took)
	count := func(bytes int64) {
		m.cut += bytes
		m.used.Add(bytes)
	}
	count(took)
	time.AfterFunc(patience, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		count(-took)
		m.borrow()
	})
	_ = below(worst.Conn).Close()
	return true
}
