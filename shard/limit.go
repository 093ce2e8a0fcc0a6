package shard

import (
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
)

// Limit is a limit of a flow's own, over its priorities together. The zero value is none.
type Limit struct {
	// MaxInFlight is how many of its requests may be in flight in the fleet; 0 for no
	// limit.
	MaxInFlight int64
	// TokensPerMinute is how many tokens its requests may cost; 0 for no limit.
	TokensPerMinute float64
	// Reject refuses what is over the limit; otherwise it waits.
	Reject bool
}

// Any reports whether there is a limit.
func (l Limit) Any() bool { return l.MaxInFlight > 0 || l.TokensPerMinute > 0 }

// LimitOf returns a flow's own limits, by its id.
func (c Config) LimitOf(id string) Limit {
	if c.Limit == nil {
		return Limit{}
	}
	return c.Limit(id)
}

// aFew is how many tickets of a flow with a limit are offered as long as its room is not
// known: the ledger has to look at each, and may drop it.
const aFew = 4

// blocked reports whether the flow may offer no more: as many of its tickets stand as have
// room. So it takes no other flow's place among the band's offers, and what the ledger
// refused is not offered again before it says that there is room.
func (f *flow) blocked() bool { return f.limited && f.taken() >= f.room }

// taken is how many of its tickets stand of those that have room: none of ingresses that are short
// of it at the endpoints.
func (f *flow) taken() int {
	return f.band.set.beside(len(f.offered), f.room, f.band, func(other *flow) bool { return other == f })
}

// HasLimited reports whether a flow that needs room has tickets here.
func (s *Set) HasLimited() bool { return len(s.limited) > 0 }

// Limited returns the ids of the flows that need room and have tickets here, in order: those
// with limits of their own, and those that the ledger said are at one that is not configured
// here.
func (s *Set) Limited() (ids []string) {
	for key := range s.limited {
		ids = append(ids, key.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// ForgetRooms has every flow offer as if its room were not known: what the ledger last
// said of it no longer counts.
func (s *Set) ForgetRooms() {
	for _, bd := range s.bands {
		for _, f := range bd.sorted() {
			if f.limited {
				f.room = aFew
				s.unlimit(f)
				bd.rerank(f)
			}
		}
	}
}

// Room passes on how many more requests of a flow, by its id, may go, and how many tokens
// are left for them. It returns the tickets that are to be rejected, if the flow's limit
// rejects and there is no room; they are removed.
func (s *Set) Room(id string, requests int64, tokens float64, now time.Time) (rejected []Ticket) {
	for _, bd := range s.bands {
		if f := s.limited[policies.FlowKey{ID: id, Priority: bd.priority}]; f != nil {
			rejected = append(rejected, s.roomAt(f, requests, tokens, now)...)
		}
	}
	return rejected
}

// roomAt passes it on to the flow at one of its priorities.
func (s *Set) roomAt(f *flow, requests int64, tokens float64, now time.Time) (rejected []Ticket) {
	if !f.limit.Any() && requests > 0 && tokens > 0 {
		s.unlimit(f)
		f.band.rerank(f)
		return nil
	}
	f.room = int(min(max(requests, 0), int64(s.cfg.OffersPerBand)))
	if tokens <= 0 {
		f.room = 0
	}
	for f.taken() > f.room {
		s.unoffer(f.offered[len(f.offered)-1])
	}
	f.band.rerank(f)
	if f.room > 0 || !f.limit.Reject {
		return nil
	}
	for f.newest != nil { // none of them is offered
		it := f.newest
		s.remove(it, now)
		rejected = append(rejected, it.Ticket)
	}
	slices.Reverse(rejected)
	return rejected
}

// AtLimit notes that the ledger does not have our offer of a ticket any more,
// because its flow has no room. The flow offers no more until Room says that there is
// some, also where it has no limit here: the ledger may know one that was removed, or that
// only another replica has.
func (s *Set) AtLimit(id policies.TicketID) {
	it := s.queued(id)
	if it == nil {
		return
	}
	it.state = notStanding
	if it.offered {
		s.unoffer(it)
	}
	f := it.flow
	f.limited, s.limited[f.key] = true, f
	f.room = len(f.offered) - f.band.set.ofShort(f.band, func(other *flow) bool { return other == f })
	f.band.rerank(f)
}

// unlimit has a flow need room only for a limit of its own.
func (s *Set) unlimit(f *flow) {
	if f.limited = f.limit.Any(); !f.limited {
		delete(s.limited, f.key)
	}
}
