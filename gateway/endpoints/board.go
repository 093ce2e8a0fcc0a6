package endpoints

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
)

// Bounds on what is sent to the other replicas.
const (
	// broadcastEvery is how long observations are collected before they are sent.
	broadcastEvery = 20 * time.Millisecond
	// repeatEvery is how long readings that tell nothing new are collected.
	repeatEvery = 200 * time.Millisecond
	// maxPlaced is how many prefixes are sent at a time; further ones are not sent.
	maxPlaced = 8192
)

// board shares what the replicas see of the endpoints. It implements
// coordinator.Listener. It is nil for a replica without a fleet.
type board struct {
	pool *Pool
	live atomic.Pointer[[]string]
	// changed receives when there is something to be sent, or to be sent earlier.
	changed chan struct{}

	mu      sync.Mutex
	pending coordinator.Observations
	placed  int
	news    bool      // something of it is new
	at      time.Time // when it is to be sent; zero while that is not known
}

func newBoard(p *Pool) *board {
	b := &board{pool: p, changed: make(chan struct{}, 1)}
	b.live.Store(&[]string{p.cfg.Replica})
	return b
}

// run sends the other replicas what is new. While there is nothing to be sent it sleeps.
func (b *board) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	sent := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.changed:
		case now := <-timer.C:
			if o := b.take(now); len(o.Readings)+len(o.Placements) > 0 {
				b.pool.cfg.Fleet.Broadcast(o)
				sent = now
			}
		}
		if at := b.next(time.Now(), sent); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
	}
}

// next is when what is there is to be sent: soon if it is new, and else not too often. It is
// zero if there is nothing.
func (b *board) next(now, sent time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.pending.Readings)+len(b.pending.Placements) == 0:
		b.at = time.Time{}
	case b.at.IsZero():
		b.at = sent.Add(repeatEvery)
		fallthrough
	default:
		if soon := now.Add(broadcastEvery); b.news && b.at.After(soon) {
			b.at = soon
		}
	}
	return b.at
}

// take returns what is to be sent by now.
func (b *board) take(now time.Time) (o coordinator.Observations) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() && !now.Before(b.at) {
		o = b.pending
		b.pending, b.placed, b.news, b.at = coordinator.Observations{}, 0, false, time.Time{}
	}
	return o
}

// read collects a reading that is to be sent.
func (b *board) read(r coordinator.Reading, news bool) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending.Readings = append(b.pending.Readings, r)
	b.note(news)
}

// place notes prefixes that are new at an endpoint.
func (b *board) place(endpoint string, prefixes []uint64) {
	if b == nil || len(prefixes) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.placed += len(prefixes); b.placed <= maxPlaced {
		b.pending.Placements = append(b.pending.Placements, coordinator.Placement{Endpoint: endpoint, Prefixes: prefixes})
	}
	b.note(true)
}

// note notes that there is something to be sent, and wakes run if it is the first, or the first
// that is new. The lock is held.
func (b *board) note(news bool) {
	if !b.at.IsZero() && (b.news || !news) {
		return // it is to be sent already
	}
	b.news = b.news || news
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Live implements coordinator.Listener.
func (b *board) Live(ids []string) {
	ids = slices.Clone(ids)
	b.live.Store(&ids)
}

// Observed implements coordinator.Listener. What it says of endpoints that are not
// known here is dropped.
func (b *board) Observed(o coordinator.Observations) {
	for i := range o.Readings {
		r := &o.Readings[i]
		if !b.pool.watching.Load().Scrape {
			break // nobody here goes by them
		}
		if e := b.pool.find(r.Endpoint); e != nil {
			e.heard.Store(b.pool.since(time.Now()))
			e.take(&r.EndpointMetrics)
		}
	}
	x := b.pool.prefixes
	if x == nil {
		return
	}
	for _, p := range o.Placements {
		if b.pool.find(p.Endpoint) != nil {
			x.add(p.Endpoint, p.Prefixes)
		}
	}
}

// rank is this replica's place in the order of those that are to read an endpoint's
// metrics. When a replica comes or goes, only the endpoints it is first for change hands.
func (b *board) rank(endpoint string) int {
	if b == nil {
		return 0
	}
	return shard.Rank(endpoint, b.pool.cfg.Replica, *b.live.Load())
}

// find returns the endpoint of that address, or nil.
func (p *Pool) find(address string) *Endpoint {
	all := p.Endpoints()
	if i, found := slices.BinarySearchFunc(all, address, func(e *Endpoint, a string) int { return cmp.Compare(e.address, a) }); found {
		return all[i]
	}
	return nil
}
