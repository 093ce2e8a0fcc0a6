package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirflow/weir/internal/freelist"
	"github.com/weirflow/weir/internal/numbered"
	"github.com/weirflow/weir/store"
)

// Ledger implements [store.Ledger]. It is safe for concurrent use.
type Ledger struct {
	cfg Config

	mu         sync.Mutex
	generation uint64
	recovering bool
	recovered  time.Time // when recovery ends at the latest
	expected   int       // members to wait for

	replicas []*replica           // with a lease, by id
	lost     []*replica           // without one, while what they held counts; by id
	bands    []*band              // highest priority first
	offers   numbered.Map[*offer] // by their tickets
	spare    freelist.List[offer]

	held, queued, bytes int64         // over all replicas, held over the lost as well
	float               int64         // the part of held that is not in flight
	outOfUse            int64         // the part that is at endpoints that take no more, as of the turn under way
	recalled            time.Time     // when float was last recalled and had not been given since
	inLine              int64         // tickets in line, over all replicas
	lined               int           // their priority
	lineRecalled        time.Time     // when they were last recalled
	most                int64         // the highest of the bands' limits
	fewer               bool          // replicas went since these were worked out
	foresight           time.Duration // for how long a request is taken to hold its slot, as this turn's replica sees it
	passed              time.Time     // until when what is guaranteed is accounted for

	wanted                bool                 // an offer stands for want of capacity, or of what is kept as float
	over                  []*offer             // offers that are passed over
	passedOver, lineStuck bool                 // in the turn under way, some were; no endpoint has room for those in line
	short                 map[string]time.Time // ingresses that reached no endpoint with room, and when last

	wakeups map[string][]chan store.Wakeup
	limits  map[limited]*limit
	full    map[string]bool // paths of groups that are at their maximum
	shut    map[string]bool // those of them that have left their places; see maxima.go
	floors  []class         // groups that are guaranteed something, by their paths
	loads   loads
	forgot  time.Time // when limits were last forgotten
	shared  shared
}

// New returns an empty ledger, in recovery of its first generation: it grants once every
// member has registered that the first replica knows of.
func New(cfg Config) *Ledger {
	return &Ledger{cfg: cfg.withDefaults(), wakeups: make(map[string][]chan store.Wakeup), limits: make(map[limited]*limit), full: make(map[string]bool), shut: make(map[string]bool), loads: newLoads(), short: make(map[string]time.Time), shared: newShared()}
}

// Inline implements [store.Inline].
func (l *Ledger) Inline() bool { return true }

// Close implements [store.Ledger].
func (l *Ledger) Close() error { return nil }

// Wipe forgets everything, as a store does that lost its memory. It is for
// tests and demonstrations of recovery.
func (l *Ledger) Wipe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(l.cfg.Clock())
	for len(l.lost) > 0 {
		l.free(l.lost[0])
	}
	l.bands = nil
	clear(l.limits)
	clear(l.full)
	clear(l.shut)
	l.floors = nil
	clear(l.short)
}

// Held returns what the ledger counts for a run of a replica, requests in flight and float,
// and in which generation; known is unset where that has no lease. It is for tests.
func (l *Ledger) Held(id string, incarnation uint64) (held int64, generation uint64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.replica(id); r != nil && r.incarnation == incarnation {
		return r.held, l.generation, true
	}
	return 0, l.generation, false
}

// Wakeups implements [store.Ledger].
func (l *Ledger) Wakeups(ctx context.Context, id string) <-chan store.Wakeup {
	ch := make(chan store.Wakeup, store.PendingWakeups)
	l.mu.Lock()
	l.wakeups[id] = append(l.wakeups[id], ch)
	l.mu.Unlock()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wakeups[id] = slices.DeleteFunc(l.wakeups[id], func(c chan store.Wakeup) bool { return c == ch })
		if len(l.wakeups[id]) == 0 {
			delete(l.wakeups, id)
		}
		close(ch)
	})
	return ch
}

// Turn implements [store.Ledger].
func (l *Ledger) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Implausible(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.relimitFewer()
	now := l.cfg.Clock()
	l.catchUp(now)
	r, reply, err := l.admit(s, now)
	if r == nil {
		return reply, err
	}
	l.takeIn(r, s, now)
	lineRecalled := false
	if !s.Leave {
		l.grant(now)
		lineRecalled = l.line(r, now)
	}
	l.forgetPreferences(s)
	l.collect(now)
	reply = l.respond(r, s, now)
	reply.LineRecalled = lineRecalled
	r.seen = r.sent // by the reply
	if s.Leave {
		l.drop(r, now)
	}
	l.notify()
	return reply, nil
}

// catchUp does what has become due since the last turn.
func (l *Ledger) catchUp(now time.Time) {
	if l.generation == 0 {
		l.begin(now)
	}
	for _, bd := range l.bands {
		for _, b := range bd.books {
			b.rescale(now)
		}
	}
	l.pass(now)
	l.expire(now)
}

// admit returns the replica whose statement is to be taken in; or nil, with the reply to one that
// is late, or to a replica that must register, or an error.
func (l *Ledger) admit(s *store.Statement, now time.Time) (*replica, *store.Reply, error) {
	r := l.replica(s.Replica)
	if lost := named(l.lost, s.Replica); r != nil && r.incarnation > s.Incarnation || lost != nil && lost.incarnation > s.Incarnation {
		return nil, nil, fmt.Errorf("replica %q: %w", s.Replica, store.ErrSuperseded)
	}
	if r != nil && r.incarnation == s.Incarnation {
		if r.last < s.Answered {
			l.begin(now) // the store was rolled back: it forgot a turn it answered
			r = nil
		} else if s.Number <= r.last {
			l.relimitFewer()
			return nil, l.answer(r, s, now), nil // late or repeated: the truth has moved on
		}
	}
	known := r != nil && r.incarnation == s.Incarnation && s.Generation == l.generation &&
		(s.Register || s.ReadUpTo <= r.sent) // else it would take none of the messages up to there
	if known { // grants that it read are in flight: they stay charged if it registers
		r.read(l, s.ReadUpTo)
	}
	if s.Register && s.Alone && s.Generation == l.generation {
		l.begin(now)
		r = nil
	}
	switch {
	case s.Register:
		return l.register(r, s, now), nil, nil
	case known:
		return r, nil, nil
	}
	if s.Generation == l.generation && len(l.replicas) == 0 {
		l.begin(now) // everyone was forgotten, and what they hold with them
	}
	return nil, &store.Reply{
		Status: store.Register, Generation: l.generation, Now: now, Recovering: l.recovering, Members: len(l.replicas),
	}, nil
}

// takeIn makes the statement of a replica the truth about it.
func (l *Ledger) takeIn(r *replica, s *store.Statement, now time.Time) {
	l.renew(r, s, now)
	l.replace(r, s, now)
	l.restrict(r, s, now)
	if capacity := l.loads.capacity; l.loads.replace(r, s) != capacity {
		l.relimit()
	}
	l.outOfUse = l.loads.outOfUse()
	l.regroup(r, s, now)
	l.settle(r, s, now)
	l.recount(r, s, now)
	for _, id := range s.Withdrawn {
		l.withdraw(r, id, now)
	}
	l.stand(r, s, now)
	l.bound(now)
}

// respond is the reply to a statement that was taken in, once everything was granted that can be.
func (l *Ledger) respond(r *replica, s *store.Statement, now time.Time) *store.Reply {
	reply := l.answer(r, s, now)
	l.rooms(reply, s, now)
	l.groups(reply, r, s)
	if s.WantHolders {
		l.holders(reply, r)
	}
	reply.Revoke = nil
	if s.Evicts {
		reply.Revoke = l.revoke(r)
	}
	if reply.FloatShare = 0; !s.Leave {
		l.lend(r, s, reply, now)
	}
	l.namePermits(reply, r, s)
	if reply.Loads = reply.Loads[:0]; s.WantLoads {
		reply.Loads = l.loads.totals(reply.Loads)
	}
	return reply
}

var _ store.Ledger = (*Ledger)(nil)
