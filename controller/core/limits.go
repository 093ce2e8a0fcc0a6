package core

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// limits is about flows with limits of their own, by their ids: they hold over a flow's
// priorities together. The ledger enforces the limits; this
// replica states what it has in flight as an ingress, and asks as an owner how much room
// there is for what waits here.
type limits struct {
	bystander
	cfg    *Config
	agenda *agenda
	queues *queues
	// reject is called with a ticket whose flow has no room.
	reject func(now time.Time, id policies.TicketID, why shard.Refusal)

	inFlight map[string]int64 // none of them 0
	changed  map[string]bool  // since they were last stated, limits and figures
	carried  map[string]bool  // changed before the turn under way, which states them
	asked    int              // where to continue asking for room
}

func newLimits(cfg *Config, a *agenda, q *queues, reject func(time.Time, policies.TicketID, shard.Refusal)) limits {
	return limits{
		cfg: cfg, agenda: a, queues: q, reject: reject,
		inFlight: make(map[string]int64),
		changed:  make(map[string]bool), carried: make(map[string]bool),
	}
}

// bind reports whether a flow has limits of its own.
func (l *limits) bind(flow policies.FlowKey) bool { return l.cfg.Shard.LimitOf(flow.ID).Any() }

// count notes that requests of a flow were dispatched or ended.
func (l *limits) count(flow string, delta int64) {
	if _, counted := l.inFlight[flow]; !counted && !l.cfg.Shard.LimitOf(flow).Any() {
		return
	}
	if l.inFlight[flow] += delta; l.inFlight[flow] <= 0 {
		delete(l.inFlight, flow)
	}
	l.changed[flow] = true
}

// reconfigure takes in that limits are others now. It must be called once the queues have
// them. What differs is stated, a limit that was removed as none: the ledger keeps to what
// it last heard. A flow's requests in flight count from the first limit on, those that
// went before it included.
func (l *limits) reconfigure(before shard.Config, inFlight iter.Seq[*request]) {
	clear(l.inFlight)
	differs := func(flow string) {
		if before.LimitOf(flow) != l.cfg.Shard.LimitOf(flow) {
			l.changed[flow] = true
		}
	}
	for r := range inFlight {
		differs(r.Flow.ID)
		if l.cfg.Shard.LimitOf(r.Flow.ID).Any() {
			l.inFlight[r.Flow.ID]++
		}
	}
	for _, f := range l.queues.set.Flows() {
		differs(f.Key.ID)
	}
}

// correct states a flow's requests in flight again: the ledger counts a grant among them
// that was returned.
func (l *limits) correct(flow string) { l.count(flow, 0) }

// room passes on how many more requests of a flow may go, and how many tokens are left for
// them. Where there is no room and the flow's limit rejects, whatever waits is rejected.
func (l *limits) room(now time.Time, flow string, requests int64, tokens float64) {
	for _, t := range l.queues.set.Room(flow, requests, tokens, now) {
		l.reject(now, t.ID, l.overLimit(flow, requests, tokens))
	}
}

// overLimit says which of its limits a flow is at that may have so much more.
func (l *limits) overLimit(flow string, requests int64, tokens float64) shard.Refusal {
	r := shard.Refusal{Cause: shard.FlowInFlight}
	if requests > 0 {
		r.Cause = shard.FlowTokens
	}
	if perMinute := l.cfg.Shard.LimitOf(flow).TokensPerMinute; perMinute > 0 && tokens < 0 {
		r.After = time.Duration(min(-tokens/perMinute, 60) * float64(time.Minute))
	}
	return r
}

// openHere reports whether a flow may have another request in flight here in an outage: within
// this replica's part of the flow's limit, and one where that is none, since whoever comes in here would
// wait for as long as the outage lasts. So a limit below the number of replicas is passed, by one at each
// at the most. Tokens are not counted then.
func (l *limits) openHere(flow string, part func(of int64) int64) bool {
	limit := l.cfg.Shard.LimitOf(flow)
	return limit.MaxInFlight == 0 || l.inFlight[flow] < max(1, part(limit.MaxInFlight))
}

// The limits are a participant.

// state states what changed, and asks for room.
func (l *limits) state(_ time.Time, s *store.Statement) {
	if len(l.inFlight)+len(l.changed) == 0 && !l.queues.set.HasLimited() {
		return
	}
	stated := make(map[string]bool)
	waiting := l.queues.set.Limited()
	if s.Register || s.Full {
		for flow := range l.inFlight {
			stated[flow] = true
		}
	}
	for i := range s.Offers { // the ledger must know of a limit before it grants
		if flow := s.Offers[i].Flow; l.cfg.Shard.LimitOf(flow).Any() {
			stated[flow] = true
		}
	}
	if n, most := len(waiting), l.cfg.Timings.RoomsPerTurn; n > most {
		l.asked %= n
		waiting = append(waiting[l.asked:], waiting[:l.asked]...)[:most]
		l.asked += most
	}
	for flow := range l.changed {
		stated[flow], l.carried[flow] = true, true
	}
	clear(l.changed)
	for _, flow := range waiting {
		stated[flow] = true
	}
	for _, flow := range slices.Sorted(maps.Keys(stated)) {
		limit := l.cfg.Shard.LimitOf(flow)
		s.Limited = append(s.Limited, store.Limited{
			Flow: flow, MaxInFlight: limit.MaxInFlight, TokensPerMinute: limit.TokensPerMinute, InFlight: l.inFlight[flow],
		})
	}
}

// learn takes in what the flows stated may still take, once the grants were read.
func (l *limits) learn(now time.Time, _ *store.Statement, r *store.Reply) {
	clear(l.carried)
	for i := range r.Rooms {
		room := &r.Rooms[i]
		if room.Group != "" {
			continue
		}
		l.room(now, room.Flow, room.InFlight, room.Tokens)
		l.agenda.touched = true
	}
}

// lost has every flow start anew: how much room it has is decided here from now on, by
// openHere.
func (l *limits) lost(time.Time) { l.queues.set.ForgetRooms() }

func (l *limits) unanswered() {
	maps.Copy(l.changed, l.carried)
	clear(l.carried)
}
