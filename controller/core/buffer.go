package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// buffer is what waits, against the caps that the fleet has for it: where the flow that
// holds most of a full buffer waits here, its newest tickets make room, also for what
// comes in elsewhere. Its part comes after the bands': what waits elsewhere is known
// then.
type buffer struct {
	bystander
	queues *queues
	// reject is called with a ticket that lost its place.
	reject func(now time.Time, id policies.TicketID, why shard.Refusal)
}

func (b *buffer) state(_ time.Time, s *store.Statement) {
	for i := range s.Bands {
		s.Bands[i].Largest = b.queues.set.Largest(s.Bands[i].Priority)
	}
	s.WantHolders = b.queues.set.NearlyFull()
}

func (b *buffer) learn(now time.Time, s *store.Statement, r *store.Reply) {
	set := b.queues.set
	if r.Queued > 0 {
		set.LowestElsewhere(r.Lowest)
	} else {
		set.NothingElsewhere()
	}
	if s.WantHolders {
		for i := range r.Bands {
			set.Elsewhere(r.Bands[i].Priority, r.Bands[i].Largest)
		}
	}
	for _, t := range set.Trim(now) {
		b.queues.agenda.touched = true
		b.reject(now, t.ID, shard.Refusal{Cause: shard.BufferShare})
	}
}

// lost has each replica make its own room: nobody hears of what comes in elsewhere.
func (b *buffer) lost(time.Time) { b.queues.set.NobodyElsewhere() }
