package core

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// limits is about flows with limits of their own. The ledger enforces the limits; this
// replica states what it has in flight as an ingress, and asks as an owner how much room
// there is for what waits here.
type limits struct {
	bystander
	cfg    *Config
	agenda *agenda
	queues *queues
	// reject is called with a ticket whose flow has no room.
	reject func(now time.Time, id policies.TicketID, why error)

	inFlight map[policies.FlowKey]int64 // none of them 0
	changed  map[policies.FlowKey]bool  // since the ledger last answered
	asked    int                        // where to continue asking for room
}

func newLimits(cfg *Config, a *agenda, q *queues, reject func(time.Time, policies.TicketID, error)) limits {
	return limits{
		cfg: cfg, agenda: a, queues: q, reject: reject,
		inFlight: make(map[policies.FlowKey]int64), changed: make(map[policies.FlowKey]bool),
	}
}

// count notes that requests of a flow were dispatched or ended.
func (l *limits) count(flow policies.FlowKey, delta int64) {
	if _, counted := l.inFlight[flow]; !counted && !l.cfg.Shard.LimitOf(flow).Any() {
		return
	}
	if l.inFlight[flow] += delta; l.inFlight[flow] <= 0 {
		delete(l.inFlight, flow)
	}
	l.changed[flow] = true
}

// correct states a flow's requests in flight again: the ledger counts a grant among them
// that was returned.
func (l *limits) correct(flow policies.FlowKey) { l.count(flow, 0) }

// room passes on how many more requests of a flow may go, and how many tokens are left for
// them. Where there is no room and the flow's limit rejects, whatever waits is rejected.
func (l *limits) room(now time.Time, flow policies.FlowKey, requests int64, tokens float64) {
	for _, t := range l.queues.set.Room(flow, requests, tokens, now) {
		l.reject(now, t.ID, ErrFlowLimit)
	}
}

// openHere reports whether a flow may have another request in flight here in an outage:
// within this replica's share of the flow's limit. Tokens are not counted then.
func (l *limits) openHere(flow policies.FlowKey, members int) bool {
	limit := l.cfg.Shard.LimitOf(flow)
	return limit.MaxInFlight == 0 || l.inFlight[flow] < max(1, limit.MaxInFlight/int64(members))
}

// The limits are a participant.

// state states what changed, and asks for room.
func (l *limits) state(_ time.Time, s *store.Statement) {
	if len(l.inFlight)+len(l.changed) == 0 && !l.queues.set.HasLimited() {
		return
	}
	stated := make(map[policies.FlowKey]bool)
	var waiting []policies.FlowKey
	l.queues.set.Limited(func(key policies.FlowKey, _ shard.Limit) { waiting = append(waiting, key) })
	if s.Register || s.Full {
		for key := range l.inFlight {
			stated[key] = true
		}
	}
	for i := range s.Offers { // the ledger must know of a limit before it grants
		stated[policies.FlowKey{ID: s.Offers[i].Flow, Priority: s.Offers[i].Priority}] = true
	}
	if n, most := len(waiting), l.cfg.Timings.RoomsPerTurn; n > most {
		l.asked %= n
		waiting = append(waiting[l.asked:], waiting[:l.asked]...)[:most]
		l.asked += most
	}
	for key := range l.changed {
		stated[key] = true
	}
	for _, key := range waiting {
		stated[key] = true
	}
	for key := range stated {
		limit := l.cfg.Shard.LimitOf(key)
		if !limit.Any() && !l.changed[key] && l.inFlight[key] == 0 {
			continue // it offers, and has no limit
		}
		s.Limited = append(s.Limited, store.Limited{
			Flow: key.ID, Priority: key.Priority, MaxInFlight: limit.MaxInFlight, TokensPerMinute: limit.TokensPerMinute,
			InFlight: l.inFlight[key],
		})
	}
	slices.SortFunc(s.Limited, func(a, b store.Limited) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.Flow, b.Flow)
	})
}

// learn takes in what the flows stated may still take, once the grants were read.
func (l *limits) learn(now time.Time, s *store.Statement, r *store.Reply) {
	stated := make(map[policies.FlowKey]int64, len(s.Limited))
	for i := range s.Limited {
		stated[policies.FlowKey{ID: s.Limited[i].Flow, Priority: s.Limited[i].Priority}] = s.Limited[i].InFlight
	}
	for i := range r.Rooms {
		room := &r.Rooms[i]
		key := policies.FlowKey{ID: room.Flow, Priority: room.Priority}
		said, asked := stated[key]
		if !asked {
			continue
		}
		if l.inFlight[key] == said {
			delete(l.changed, key)
		}
		l.room(now, key, room.InFlight, room.Tokens)
		l.agenda.touched = true
	}
}
