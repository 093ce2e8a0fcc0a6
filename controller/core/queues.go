package core

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// queues is this replica as an owner: the tickets that wait here, and what the ledger
// knows of them. Its part comes after the bands': whether all offers are stated is known
// from then on.
type queues struct {
	set     *shard.Set
	agenda  *agenda
	timings *Timings

	offered func(now time.Time, id policies.TicketID) // notes the first offer of one that is traced

	full   mark      // all offers are to be stated
	stated time.Time // when they were
}

// put queues a ticket, unless it is refused, and returns those that lost their places for
// it.
func (q *queues) put(t *shard.Ticket, now time.Time) (displaced []shard.Ticket, refused *shard.Refusal) {
	q.agenda.touched = true
	return q.set.Add(*t, now)
}

// takeOut takes a ticket out of its queue, whatever became of it.
func (q *queues) takeOut(id policies.TicketID, now time.Time) {
	q.set.Remove(id, now)
	q.agenda.touched = true
}

// takeOutAllOf takes out all tickets of an ingress.
func (q *queues) takeOutAllOf(ingress string, now time.Time) {
	for id := range q.set.Of(ingress) {
		q.takeOut(id, now)
	}
}

// anyOf reports whether a ticket of an ingress waits here.
func (q *queues) anyOf(ingress string) bool {
	for range q.set.Of(ingress) {
		return true
	}
	return false
}

// reconfigure keeps the tickets under another configuration; those of the requests that
// wait are put in order by their deadlines as they are now. All offers are then stated to
// the ledger.
func (q *queues) reconfigure(now time.Time, cfg shard.Config, waiting iter.Seq[*request]) {
	for r := range waiting {
		q.set.SetDeadline(r.ID, r.Deadline)
	}
	q.set = q.set.Rebuilt(cfg, now)
	q.full.raise()
}

// The queues are a participant.

// state states what changed of the offers, and all of them from time to time.
func (q *queues) state(now time.Time, s *store.Statement) {
	if now.Sub(q.stated) >= q.timings.RepeatEvery {
		q.full.raise()
	}
	s.Full = q.full.carry() && !s.Register
	offer := func(o shard.Offer) {
		s.Offers = append(s.Offers, store.Offer{
			Ticket: o.Ticket, Flow: o.Flow.ID, Priority: o.Flow.Priority,
			Rank: o.Rank, Charge: o.Charge, Weight: o.Weight, Score: o.Score, Idle: o.Idle, Tokens: o.Tokens,
			Group: o.Group, IdleGroups: o.IdleGroups, Prefer: o.Prefer,
		})
		if o.First {
			q.offered(now, o.Ticket)
		}
	}
	if !s.Register && !s.Full {
		q.set.Changes(offer, func(id policies.TicketID) { s.Withdrawn = append(s.Withdrawn, id) })
		return
	}
	q.stated = now
	q.set.Repeat(offer)
	if s.Register {
		q.stateCounters(s)
	}
}

// stateCounters repeats to a ledger that may have forgotten them what flows were served.
// If there are more than a statement takes, each band keeps as many, the highest first:
// an offer brings its flow's counter along, so that the others are only missed where
// their tickets wait at another owner.
func (q *queues) stateCounters(s *store.Statement) {
	byBand := make(map[int][]store.Counter)
	q.set.Counters(func(key policies.FlowKey, group string, counter float64) {
		byBand[key.Priority] = append(byBand[key.Priority], store.Counter{Flow: key.ID, Priority: key.Priority, Group: group, Value: counter})
	})
	for i := range s.Bands {
		counters := byBand[s.Bands[i].Priority]
		if most := store.MaxCounters / len(s.Bands); len(counters) > most {
			slices.SortStableFunc(counters, func(a, b store.Counter) int { return cmp.Compare(b.Value, a.Value) })
			counters = counters[:most]
		}
		s.Counters = append(s.Counters, counters...)
	}
}

func (q *queues) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	q.set.Answered()
	q.set.Short(r.Short)
	q.full.answered()
	q.agenda.due = q.agenda.due || q.full.raised
}

func (q *queues) unanswered() { q.set.Failed() }

// lost forgets which ingresses are short of room: the ledger does not say any more.
func (q *queues) lost(time.Time) { q.set.Short(nil) }

// regained puts the flows back at the counters last learnt from the ledger.
func (q *queues) regained(time.Time) { q.set.Rejoin() }
