package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirflow/weir/policies"
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

	replicas []*replica // in the order of their registering
	bands    []*band    // highest priority first
	offers   map[policies.TicketID]*offer

	held, queued, bytes int64 // over all replicas

	wakeups map[string][]chan store.Wakeup
	limits  map[flowID]*limit
	loads   loads
	forgot  time.Time // when limits were last forgotten
}

// New returns an empty ledger, in recovery of its first generation: it grants
// once every member the first replica knows of has registered.
func New(cfg Config) *Ledger {
	return &Ledger{cfg: cfg.withDefaults(), wakeups: make(map[string][]chan store.Wakeup), limits: make(map[flowID]*limit), loads: newLoads()}
}

// Inline implements [store.Inline].
func (l *Ledger) Inline() {}

// Close implements [store.Ledger].
func (l *Ledger) Close() error { return nil }

// Wipe forgets everything, as a store does that lost its memory. It is for
// tests and demonstrations of recovery.
func (l *Ledger) Wipe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(l.cfg.Clock())
	l.bands = nil
	clear(l.limits)
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
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Clock()
	if l.generation == 0 {
		l.begin(now)
	}
	for _, bd := range l.bands {
		for _, b := range bd.books {
			b.rescale(now)
		}
	}
	l.expire(now)

	r := l.replica(s.Replica)
	if r != nil && r.incarnation > s.Incarnation {
		return nil, fmt.Errorf("replica %q: %w", s.Replica, store.ErrSuperseded)
	}
	if r != nil && r.incarnation == s.Incarnation {
		if r.last < s.Answered {
			l.begin(now) // the store was rolled back: it forgot a turn it answered
			r = nil
		} else if s.Number <= r.last {
			return l.answer(r, s, store.OK, now), nil // late or repeated: the truth has moved on
		}
	}
	if s.Register && s.Alone && s.Generation == l.generation {
		l.begin(now)
		r = nil
	}
	switch known := r != nil && r.incarnation == s.Incarnation && s.Generation == l.generation; {
	case s.Register:
		r = l.register(r, s, now)
	case !known:
		if s.Generation == l.generation && len(l.replicas) == 0 {
			l.begin(now) // everyone was forgotten, and what they hold with them
		}
		return &store.Reply{
			Status: store.Register, Generation: l.generation, Now: now, Recovering: l.recovering, Members: len(l.replicas),
		}, nil
	}

	l.renew(r, s, now)
	r.read(l, s.ReadMail)
	l.restate(r, s, now)
	l.restrict(r, s, now)
	l.loads.restate(r, s)
	l.settle(r, s, now)
	l.recount(r, s, now)
	for _, id := range s.Withdrawn {
		l.withdraw(r, id, now)
	}
	l.stand(r, s, now)
	status := store.OK
	if r.standing+r.told != s.Standing {
		status = store.Resync
	}
	if !s.Leave {
		l.grant(now)
	}
	l.collect(now)
	reply := l.answer(r, s, status, now)
	l.rooms(reply, s, now)
	if reply.Loads = reply.Loads[:0]; s.WantLoads {
		reply.Loads = l.loads.totals(reply.Loads)
	}
	reply.Revoke = nil
	if s.Evicts {
		reply.Revoke = l.revoke(r)
	}
	r.seen = r.sent // by the reply
	if s.Leave {
		l.drop(r, now)
	}
	l.notify()
	return reply, nil
}

// begin starts a generation, in recovery: whatever the replicas stated is
// forgotten, and what the flows were served stays on the books.
func (l *Ledger) begin(now time.Time) {
	for len(l.replicas) > 0 {
		l.drop(l.replicas[0], now)
	}
	l.offers = make(map[policies.TicketID]*offer)
	l.generation = max(l.generation+1, uint64(now.UnixMicro()))
	l.recovering, l.recovered, l.expected = true, now.Add(l.cfg.Recovery), 0
}

// expire drops every replica whose lease ran out.
func (l *Ledger) expire(now time.Time) {
	for i := len(l.replicas) - 1; i >= 0; i-- {
		if r := l.replicas[i]; !r.lease.After(now) {
			l.drop(r, now)
		}
	}
}

// replica returns the replica of that id if it has a lease, or nil.
func (l *Ledger) replica(id string) *replica {
	for _, r := range l.replicas {
		if r.id == id {
			return r
		}
	}
	return nil
}

// register makes a fresh record of a replica that states everything.
func (l *Ledger) register(old *replica, s *store.Statement, now time.Time) *replica {
	if old != nil {
		l.drop(old, now)
	}
	r := &replica{id: s.Replica, incarnation: s.Incarnation, registered: s.Number, sent: s.ReadMail, seen: s.ReadMail}
	if old != nil && old.incarnation == s.Incarnation {
		r.batch = old.batch
	}
	l.replicas = append(l.replicas, r)
	return r
}

// renew keeps the lease and the liveness the replica states of others.
func (l *Ledger) renew(r *replica, s *store.Statement, now time.Time) {
	r.last = s.Number
	r.lease = now.Add(l.cfg.Lease)
	r.dead = append(r.dead[:0], s.Dead...)
	l.expected = max(l.expected, s.Members)
	for _, id := range s.Dead {
		if dead := l.replica(id); dead != nil && dead != r && l.silent(dead, now) && l.statedDeadByAll(dead) {
			l.drop(dead, now)
		}
	}
}

// silent reports whether a replica has said nothing for half its lease. Whoever
// lives says something every third: gossip may be cut where the ledger is not.
func (l *Ledger) silent(r *replica, now time.Time) bool { return r.lease.Sub(now) <= l.cfg.Lease/2 }

func (l *Ledger) statedDeadByAll(dead *replica) bool {
	for _, other := range l.replicas {
		if other != dead && !slices.Contains(other.dead, dead.id) {
			return false
		}
	}
	return true
}

// drop forgets a replica: its offers, what it held, and the charges of grants
// it never read.
func (l *Ledger) drop(r *replica, now time.Time) {
	for i := range r.mail {
		m := &r.mail[i]
		if m.Kind&store.Granted != 0 {
			if b := named(l.bands, m.Priority, m.Policy); b != nil {
				b.settle(m.Flow, -m.Charge, m.Counter, now)
			}
		}
		r.forget(l, m)
	}
	l.removeOffers(now, func(o *offer) bool { return o.owner == r })
	for i := range r.bands {
		l.count(&r.bands[i], -1)
	}
	l.held -= r.held
	for id, n := range r.limited {
		if m := l.limits[id]; m != nil {
			m.held -= n
		}
	}
	l.loads.drop(r)
	r.bands, r.limited = nil, nil
	l.replicas = slices.DeleteFunc(l.replicas, func(other *replica) bool { return other == r })
	l.relimit()
}

// count adds a replica's stated figures of a band to the totals, or takes
// them off.
func (l *Ledger) count(s *store.Band, sign int64) {
	l.queued += sign * s.Queued
	l.bytes += sign * s.QueuedBytes
	if bd := find(l.bands, s.Priority); bd != nil {
		bd.queued += sign * s.Queued
		bd.bytes += sign * s.QueuedBytes
		bd.inFlight += sign * s.InFlight
	}
}

// restate takes over what the replica states of itself. Whatever had drifted is
// right again after it.
func (l *Ledger) restate(r *replica, s *store.Statement, now time.Time) {
	relimit := len(r.bands) != len(s.Bands)
	for i := range r.bands {
		l.count(&r.bands[i], -1)
		relimit = relimit || i < len(s.Bands) &&
			(r.bands[i].Priority != s.Bands[i].Priority || r.bands[i].Limit != s.Bands[i].Limit)
	}
	l.held -= r.held
	r.held = 0
	r.bands = append(r.bands[:0], s.Bands...)
	r.sheddable, r.revoking = append(r.sheddable[:0], s.Sheddable...), s.Revoking
	for i := range r.bands {
		st := &r.bands[i]
		bd := find(l.bands, st.Priority)
		if bd == nil {
			bd = &band{priority: st.Priority}
			l.bands = append(l.bands, bd)
			slices.SortFunc(l.bands, func(a, b *band) int { return b.priority - a.priority })
			relimit = true
		}
		books := len(bd.books)
		b := bd.book(st)
		if len(bd.books) != books {
			relimit = true
			b.rescale(now)
		}
		if s.Register {
			b.v = max(b.v, st.VirtualTime*b.scale)
		}
		l.count(st, +1)
		r.held += st.InFlight
	}
	for i := range r.mail {
		if r.mail[i].Kind&store.Granted != 0 {
			r.held++
		}
	}
	l.held += r.held
	if relimit {
		l.relimit()
	}
}

// relimit works out each band's limit, the least that a live replica states,
// and which bands and books are stated at all.
func (l *Ledger) relimit() {
	for _, bd := range l.bands {
		bd.limit, bd.stated = store.NoOpinion, false
		for _, b := range bd.books {
			b.stated = false
		}
	}
	for _, r := range l.replicas {
		for i := range r.bands {
			st := &r.bands[i]
			bd := find(l.bands, st.Priority)
			bd.stated = true
			bd.book(st).stated = true
			if st.Limit != store.NoOpinion && (bd.limit == store.NoOpinion || st.Limit < bd.limit) {
				bd.limit = st.Limit
			}
		}
	}
}

// bookOf returns the book the replica's own policy keeps in a band.
func (l *Ledger) bookOf(r *replica, priority int) *book {
	for i := range r.bands {
		if r.bands[i].Priority == priority {
			return find(l.bands, priority).book(&r.bands[i])
		}
	}
	return nil
}

// withdraw takes an offer of the replica away; one it does not have, or that
// was granted meanwhile, is no news.
func (l *Ledger) withdraw(r *replica, id policies.TicketID, now time.Time) {
	o := l.offers[id]
	if o == nil || o.owner != r || o.granted {
		r.uncount(id)
		return
	}
	l.remove(o, now)
}

// remove takes a standing offer away and forgets it.
func (l *Ledger) remove(o *offer, now time.Time) {
	o.flow.book.leave(o, now)
	o.owner.standing--
	delete(l.offers, o.Ticket)
}

// removeOffers removes the standing offers that match, in the order of their
// tickets.
func (l *Ledger) removeOffers(now time.Time, match func(*offer) bool) {
	var matched []*offer
	for _, o := range l.offers {
		if !o.granted && match(o) {
			matched = append(matched, o)
		}
	}
	slices.SortFunc(matched, func(a, b *offer) int { return a.Ticket.Compare(b.Ticket) })
	for _, o := range matched {
		l.remove(o, now)
	}
}

// stand puts the replica's new offers before the ledger.
func (l *Ledger) stand(r *replica, s *store.Statement, now time.Time) {
	for i := range s.Offers {
		st := s.Offers[i]
		if o := l.offers[st.Ticket]; o != nil {
			switch {
			case o.granted && o.owner == r:
				continue // unread mail says so
			case o.granted:
				r.uncount(st.Ticket)
				r.post(store.Taken, o)
				continue
			case o.owner != r: // a newer owner's offer replaces the older one's
				o.owner.post(store.Dropped, o)
			default:
				st.Idle = false // it stood before: it was lifted then, or had not to be
			}
			l.remove(o, now)
		}
		r.uncount(st.Ticket) // it counts the ticket once, as standing again
		b := l.bookOf(r, st.Priority)
		if b == nil {
			continue // a band it did not state: the count below will not add up
		}
		o := &offer{Offer: st, owner: r, stamp: s.Number}
		l.offers[o.Ticket] = o
		b.stand(o, now)
		r.standing++
	}
	if s.Resync || s.Register {
		l.removeOffers(now, func(o *offer) bool { return o.owner == r && o.stamp != s.Number })
	}
}

// settle applies a batch of settlements, once.
func (l *Ledger) settle(r *replica, s *store.Statement, now time.Time) {
	if s.Batch <= r.batch {
		return
	}
	r.batch = s.Batch
	for i := range s.Settlements {
		st := &s.Settlements[i]
		if b := named(l.bands, st.Priority, st.Policy); b != nil {
			b.settle(st.Flow, st.Delta, st.Counter, now)
		}
		if m := l.limits[flowID{st.Priority, st.Flow}]; m != nil {
			m.spend(st.Tokens, now)
		}
	}
}

// recount takes over the counters that a registering replica was last told.
func (l *Ledger) recount(r *replica, s *store.Statement, now time.Time) {
	if !s.Register {
		return
	}
	for i := range s.Counters {
		c := &s.Counters[i]
		if b := l.bookOf(r, c.Priority); b != nil && b.countsService {
			f := b.flow(c.Flow, c.Value, now)
			if value := c.Value * b.scale; f.counter < value {
				f.counter = value
				f.moved()
			}
		}
	}
}

// grant gives out what capacity there is: the highest band first, in a band the
// lowest rank, and no band below one that still waits.
func (l *Ledger) grant(now time.Time) {
	if l.recovering {
		if len(l.replicas) < l.expected && now.Before(l.recovered) {
			return
		}
		l.recovering = false
	}
	for _, bd := range l.bands {
		for bd.offers > 0 && l.held < bd.limit {
			b, o := bd.first()
			m := l.limits[flowID{bd.priority, o.Flow}]
			if m != nil && !m.open(now) {
				l.remove(o, now)
				o.owner.post(store.AtLimit, o)
				continue
			}
			ingress := l.replica(o.Ticket.Ingress)
			o.granted = true
			o.owner.standing--
			if ingress == nil {
				b.leave(o, now)
				o.owner.post(store.Dropped, o)
				continue
			}
			bd.next++
			b.serve(o, now)
			ingress.held++
			l.held++
			if m != nil {
				m.held++
				m.spend(o.Tokens, now)
				if ingress.limited == nil {
					ingress.limited = make(map[flowID]int64)
				}
				ingress.limited[flowID{bd.priority, o.Flow}]++
			}
			if ingress == o.owner {
				ingress.post(store.Granted|store.Taken, o)
			} else {
				ingress.post(store.Granted, o)
				o.owner.post(store.Taken, o)
			}
			l.loads.suggest(ingress, &ingress.mail[len(ingress.mail)-1].Mail, now)
		}
		if bd.offers > 0 {
			return
		}
	}
}

// collect forgets what nobody uses: idle counters, then books and bands that no
// replica states any more.
func (l *Ledger) collect(now time.Time) {
	if now.Sub(l.forgot) >= time.Second {
		l.forgot = now
		l.forgetLimits(now)
	}
	for _, bd := range l.bands {
		for _, b := range bd.books {
			b.collect(now, l.cfg.CounterIdle, l.cfg.CounterKeep)
		}
		before := len(bd.books)
		bd.books = slices.DeleteFunc(bd.books, (*book).forgettable)
		if len(bd.books) != before {
			bd.next = 0
		}
	}
	l.bands = slices.DeleteFunc(l.bands, func(bd *band) bool { return !bd.stated && len(bd.books) == 0 })
}

// answer fills in the replica's reply.
func (l *Ledger) answer(r *replica, s *store.Statement, status store.Status, now time.Time) *store.Reply {
	reply := &r.reply
	*reply = store.Reply{
		Status: status, Generation: l.generation, Now: now, Recovering: l.recovering,
		Mail: reply.Mail[:0], Bands: reply.Bands[:0], Loads: reply.Loads,
		InFlight: l.held, Queued: l.queued, QueuedBytes: l.bytes, Members: len(l.replicas),
	}
	for i := range r.mail {
		reply.Mail = append(reply.Mail, r.mail[i].Mail)
	}
	for i := range s.Bands {
		bd := find(l.bands, s.Bands[i].Priority)
		if bd == nil {
			continue
		}
		total := store.BandTotal{Priority: bd.priority, Queued: bd.queued, QueuedBytes: bd.bytes, InFlight: bd.inFlight}
		if b := bd.named(s.Bands[i].Policy); b != nil {
			total.VirtualTime = b.v / b.scale
		}
		reply.Bands = append(reply.Bands, total)
	}
	return reply
}

// notify wakes every replica that got mail.
func (l *Ledger) notify() {
	for _, r := range l.replicas {
		if r.sent == r.seen && !r.wake {
			continue
		}
		r.wake = false
		w := r.wakeup()
		r.seen = r.sent
		for _, ch := range l.wakeups[r.id] {
			select {
			case ch <- w:
			default: // it has enough to be woken by
			}
		}
	}
}

var _ store.Ledger = (*Ledger)(nil)
