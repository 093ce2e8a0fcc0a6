package core

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// limited is what an ingress and owner keeps of flows with limits of their own. The
// ledger keeps the limits; this replica states what it has in flight, and asks what
// room there is for what waits here.
type limited struct {
	inFlight map[policies.FlowKey]int64
	changed  map[policies.FlowKey]bool // since the ledger was last told
	asked    int                       // flows that room was asked for, to go on from
}

// askedAtATime is how many flows that wait for room are asked for in a turn. With
// more, each is asked for every so many turns.
const askedAtATime = 64

// count notes that requests of a flow were dispatched or ended.
func (c *Core) count(flow policies.FlowKey, delta int64) {
	l := &c.limited
	if _, counted := l.inFlight[flow]; !counted && !c.cfg.Shard.LimitOf(flow).Any() {
		return
	}
	if l.inFlight[flow] += delta; l.inFlight[flow] <= 0 {
		delete(l.inFlight, flow)
	}
	l.changed[flow] = true
}

// stateLimited tells the ledger what changed, and asks for room.
func (c *Core) stateLimited(s *store.Statement) {
	l := &c.limited
	if len(l.inFlight)+len(l.changed) == 0 && !c.queues.HasLimited() {
		return
	}
	stated := make(map[policies.FlowKey]bool)
	var waiting []policies.FlowKey
	c.queues.Limited(func(key policies.FlowKey, _ shard.Limit) { waiting = append(waiting, key) })
	if s.Register || s.Full {
		for key := range l.inFlight {
			stated[key] = true
		}
	} else if n := len(waiting); n > askedAtATime {
		l.asked %= n
		waiting = append(waiting[l.asked:], waiting[:l.asked]...)[:askedAtATime]
		l.asked += askedAtATime
	}
	for key := range l.changed {
		stated[key] = true
	}
	for _, key := range waiting {
		stated[key] = true
	}
	for key := range stated {
		limit := c.cfg.Shard.LimitOf(key)
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

// learnRooms takes in what the flows stated may still take.
func (c *Core) learnRooms(now time.Time, s *store.Statement, rooms []store.Room) {
	for i := range min(len(rooms), len(s.Limited)) {
		st, room := &s.Limited[i], rooms[i]
		key := policies.FlowKey{ID: st.Flow, Priority: st.Priority}
		if c.limited.inFlight[key] == st.InFlight {
			delete(c.limited.changed, key)
		}
		for _, t := range c.queues.Room(key, room.InFlight, room.Tokens, now) {
			c.displace(now, t.ID)
		}
		c.turn.touched = true
	}
}

// openAlone reports whether a flow may have another request in flight here while the
// ledger is out of reach: within this replica's share of its limit. How many tokens
// it takes is not counted then.
func (c *Core) openAlone(flow policies.FlowKey) bool {
	limit := c.cfg.Shard.LimitOf(flow)
	return limit.MaxInFlight == 0 || c.limited.inFlight[flow] < max(1, limit.MaxInFlight/int64(max(1, c.turn.members)))
}
