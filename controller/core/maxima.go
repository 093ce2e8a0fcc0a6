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

// maxima is about groups with a maximum, or that are guaranteed something, by their paths. The
// ledger counts what is in flight in them, as it does for the limits of flows: this replica
// states what it has in flight as an ingress, and asks as an owner how much room there is for
// what waits here.
type maxima struct {
	bystander
	cfg    *Config
	agenda *agenda
	bands  *bands
	queues *queues

	inFlight map[string]int64 // none of them 0
	changed  map[string]bool  // since they were last stated, maxima and figures
	carried  map[string]bool  // changed before the turn under way, which states them
	asked    int              // where to continue asking for room
	told     time.Time        // when it was last asked how all stand that are guaranteed something
}

// accountsEvery is how often a replica asks how all groups stand that are guaranteed something,
// also those of which it has no requests: operators may ask any replica.
const accountsEvery = time.Second

func newMaxima(cfg *Config, bs *bands) maxima {
	return maxima{
		cfg: cfg, agenda: bs.agenda, bands: bs, queues: bs.queues,
		inFlight: make(map[string]int64), changed: make(map[string]bool), carried: make(map[string]bool),
	}
}

// of calls visit with the groups that are counted around a flow.
func (x *maxima) of(flow policies.FlowKey, visit func(path string)) {
	if len(x.cfg.Shard.Maxima)+len(x.cfg.Shard.Guaranteed) > 0 {
		x.around(x.cfg.Shard.GroupOf(flow), visit)
	}
}

// around does the same with a group's path.
func (x *maxima) around(path string, visit func(path string)) {
	for path := range shard.Around(path) {
		if x.cfg.Shard.Counts(path) {
			visit(path)
		}
	}
}

// bind reports whether a flow is in a group with a maximum.
func (x *maxima) bind(flow policies.FlowKey) (any bool) {
	x.of(flow, func(path string) { any = any || x.cfg.Shard.Maxima[path].Any() })
	return any
}

// count notes that requests of a flow were dispatched or ended.
func (x *maxima) count(flow policies.FlowKey, delta int64) {
	x.of(flow, func(path string) {
		if x.inFlight[path] += delta; x.inFlight[path] <= 0 {
			delete(x.inFlight, path)
		}
		x.changed[path] = true
	})
}

// correct states what is in flight in a group again: the ledger counts a grant in it that was
// returned.
func (x *maxima) correct(path string) {
	x.around(path, func(path string) { x.changed[path] = true })
}

// reconfigure takes in that the groups are others now, or their maxima, or what they are
// guaranteed. One that was removed is stated as none: the ledger keeps to what it last heard.
func (x *maxima) reconfigure(before shard.Config, inFlight iter.Seq[*request]) {
	for path, m := range before.Maxima {
		if m != x.cfg.Shard.Maxima[path] {
			x.changed[path] = true
		}
	}
	for path, part := range before.Guaranteed {
		if part != x.cfg.Shard.Guaranteed[path] {
			x.changed[path] = true
		}
	}
	for path := range x.cfg.Shard.Maxima {
		x.changed[path] = true
	}
	for path := range x.cfg.Shard.Guaranteed {
		x.changed[path] = true
	}
	clear(x.inFlight)
	for r := range inFlight {
		x.count(r.Flow, 1)
	}
}

// fullHere is a group around a flow that may have no more in flight here in an outage, given
// this replica's share of a number; empty for none.
func (x *maxima) fullHere(flow policies.FlowKey, share func(int64) int64) (full string) {
	x.of(flow, func(path string) {
		most := int64(x.cfg.Shard.Maxima[path].Slots(x.bands.limit()))
		if x.cfg.Shard.Maxima[path].Any() && x.inFlight[path] >= share(max(1, most)) {
			full = path
		}
	})
	return full
}

// ended takes in that a request of a flow ended in an outage.
func (x *maxima) ended(flow policies.FlowKey) {
	x.of(flow, func(path string) { x.queues.set.CloseGroup(path, false) })
}

// The maxima are a participant; they come after the queues.

// state states what changed, and asks for room.
func (x *maxima) state(now time.Time, s *store.Statement) {
	waiting := x.queues.set.Counted()
	if guaranteed := x.cfg.Shard.Guaranteed; len(guaranteed) > 0 && (s.Register || now.Sub(x.told) >= accountsEvery) {
		x.told = now
		waiting = slices.AppendSeq(waiting, maps.Keys(guaranteed))
		slices.Sort(waiting)
		waiting = slices.Compact(waiting)
	}
	if len(x.inFlight)+len(x.changed)+len(waiting) == 0 {
		return
	}
	stated := make(map[string]bool)
	if s.Register || s.Full {
		for path := range x.inFlight {
			stated[path] = true
		}
	}
	for i := range s.Offers { // the ledger must know of a maximum before it grants
		x.around(s.Offers[i].Group, func(path string) { stated[path] = true })
	}
	if n, most := len(waiting), x.cfg.Timings.RoomsPerTurn; n > most {
		x.asked %= n
		waiting = append(waiting[x.asked:], waiting[:x.asked]...)[:most]
		x.asked += most
	}
	for _, path := range waiting {
		stated[path] = true
	}
	for path := range x.changed {
		stated[path], x.carried[path] = true, true
	}
	clear(x.changed)
	for _, path := range slices.Sorted(maps.Keys(stated)) {
		s.Limited = append(s.Limited, x.limited(path))
	}
}

// limited is what is stated of a group. While some replicas have lost the ledger, those who
// have it leave them their share.
func (x *maxima) limited(path string) store.Limited {
	st := store.Limited{Group: path, InFlight: x.inFlight[path]}
	m, pool := x.cfg.Shard.Maxima[path], x.bands.left(x.bands.limit())
	switch {
	case m.Part == 0 && m.Requests > 0:
		st.MaxInFlight = max(1, x.bands.left(m.Requests))
	case m.Part > 0 && pool > 0 && pool < store.Unlimited:
		st.MaxSlots = m.Slots(pool)
	}
	return st
}

func (x *maxima) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	clear(x.carried)
	for i := range r.Rooms {
		if room := &r.Rooms[i]; room.Group != "" {
			x.queues.set.GroupRoom(room.Group, room.InFlight)
			x.agenda.touched = true
		}
	}
}

// lost has every group start anew: whether it has room is decided here from now on, by
// fullHere.
func (x *maxima) lost(time.Time) { x.open() }

// open has every group looked at anew in an outage.
func (x *maxima) open() {
	for path := range x.cfg.Shard.Maxima {
		x.queues.set.CloseGroup(path, false)
	}
}

func (x *maxima) unanswered() {
	maps.Copy(x.changed, x.carried)
	clear(x.carried)
}
