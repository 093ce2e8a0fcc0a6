package shard

import "github.com/weirflow/weir/policies"

// Offer is a ticket to put before the ledger.
type Offer struct {
	Ticket policies.TicketID
	Flow   policies.FlowKey
	// Rank seeds the flow's counter where the ledger has none, or is the
	// ticket's place in a band that does not count service.
	Rank   float64
	Charge float64
	Weight float64
	Score  float64
	// Idle marks the first offer of a flow that was idle here.
	Idle bool
	// Group is the path of its group, and IdleGroups how many groups from that outwards
	// were idle here.
	Group      string
	IdleGroups int
	// Tokens is what it takes of its flow's limit on tokens.
	Tokens float64
	// Prefer is the endpoint that the ledger is to grant it for if it does so in the turn
	// that states it; only of one that did not stand before.
	Prefer string
	// First is set in the first offer of a ticket that is Traced, by this replica.
	First bool
}

// change notes that the item may have to be stated to the ledger.
func (s *Set) change(it *item) {
	if !it.changed {
		it.changed = true
		s.changed = append(s.changed, it)
	}
}

// Changed reports whether there are offers to make or to withdraw.
func (s *Set) Changed() bool { return len(s.changed) > 0 }

// Widen has twice as many of each band's tickets offered, or no longer: where the ledger is so
// far that more than OffersPerBand are taken until others are there.
func (s *Set) Widen(wide bool) { s.wide = wide }

// most is how many tickets of a band are offered at most.
func (s *Set) most() int {
	if s.wide {
		return 2 * s.cfg.OffersPerBand
	}
	return s.cfg.OffersPerBand
}

// Refill offers the best tickets of every band.
func (s *Set) Refill() {
	for _, bd := range s.bands {
		s.refill(bd)
	}
}

// Changes hands over what the turn that begins now has to state: the offers to make and
// those to withdraw. Answered or Failed says how the turn ended.
func (s *Set) Changes(offer func(Offer), withdraw func(policies.TicketID)) {
	for _, it := range s.changed {
		it.changed = false
		switch {
		case it.offered && (it.state != standing || it.stale()):
			offer(it.asOffer())
		case !it.offered && it.state != notStanding:
			withdraw(it.ID)
		default: // changed and changed back
			s.reuse(it)
			continue
		}
		s.noteStated(it)
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}

// Repeat hands over every offer, to be repeated in full: the ledger withdraws what is not
// among them. Until that was Answered all turns must repeat them, so nothing is kept of what was
// offered and is not any more: there would be more of it with each turn that is lost.
func (s *Set) Repeat(offer func(Offer)) {
	for _, it := range s.changed {
		it.changed = false
		if !it.offered {
			it.state = notStanding
			s.reuse(it)
		}
	}
	clear(s.changed)
	s.changed = s.changed[:0]
	for _, bd := range s.bands {
		bd.top.each(func(g *group) {
			for _, it := range g.byRank() {
				offer(it.asOffer())
				s.noteStated(it)
			}
		})
	}
}

// noteStated notes that the turn that begins now states the item as it is.
func (s *Set) noteStated(it *item) {
	it.state, it.stated, it.told = uncertain, it.offered, it.told || it.offered
	it.statedKey, it.statedScore = it.key, it.score
	it.unanswered = true
	s.unanswered = append(s.unanswered, it)
}

// Answered notes that the ledger has what the last Changes or Repeat handed over.
func (s *Set) Answered() {
	for _, it := range s.unanswered {
		it.unanswered = false
		// What changed meanwhile is in changed again, and is compared with this.
		if it.state == uncertain {
			it.state = notStanding
			if it.stated {
				it.state = standing
			}
		}
		s.reuse(it)
	}
	clear(s.unanswered)
	s.unanswered = s.unanswered[:0]
}

// Failed notes that the ledger may or may not have what the last Changes or Repeat
// handed over; it will be stated again.
func (s *Set) Failed() {
	for _, it := range s.unanswered {
		it.unanswered = false
		s.change(it)
	}
	clear(s.unanswered)
	s.unanswered = s.unanswered[:0]
}

// stale reports whether the ledger knows a standing offer by another place. A counting
// band's ranks are the ledger's own counters.
func (it *item) stale() bool {
	return it.score != it.statedScore || !it.flow.band.counts() && it.key != it.statedKey
}

// asOffer is the item as an offer. Only the ledger lifts, so the rank is stated without
// the lift that this replica expects.
func (it *item) asOffer() Offer {
	f := it.flow
	o := Offer{
		Ticket: it.ID, Flow: it.Ticket.Flow, Charge: it.charge, Weight: f.weight, Score: it.score, Rank: it.key,
		Idle: f.idle && f.offered[0] == it, Group: f.group.Path, IdleGroups: f.group.idleGroups(),
	}
	if it.state == notStanding {
		o.Prefer = it.Prefer
	}
	o.First = it.Traced && !it.told
	if f.limit.TokensPerMinute > 0 {
		o.Tokens = float64(it.Ticket.InputTokens + it.Ticket.OutputTokens)
	}
	if f.band.counts() {
		o.Rank -= f.lift + f.own
	}
	return o
}
