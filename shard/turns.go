package shard

// turns orders the tickets of a flow that many share, who take turns: each round has one
// ticket of everybody who waits. Who comes joins the next round, so that nobody who comes
// later delays a round that has begun. The ordering policy has no say in it.
//
// A ticket's score is its round, and its place in that. Only the owner's own matter to it:
// a flow is in one owner's queue but for the moment of a move.
type turns struct {
	round  float64            // of the last ticket that went
	last   map[string]float64 // by who they are: the round of the last ticket that waits
	waits  map[string]int     // how many of theirs wait
	places map[float64]float64
}

// perRound is more than the places of a round: the scores of all rounds are exact.
const perRound = 1 << 24

// score gives a ticket its place.
func (t *turns) score(who string) float64 {
	if t.waits == nil {
		t.last, t.waits, t.places = make(map[string]float64), make(map[string]int), make(map[float64]float64)
	}
	round := max(t.round, t.last[who]) + 1
	t.last[who] = round
	t.waits[who]++
	place := t.places[round]
	t.places[round] = min(place+1, perRound-1)
	return round*perRound + place
}

// went notes that a ticket of that score was served.
func (t *turns) went(score float64) {
	round := float64(int64(score / perRound))
	for t.round < round {
		delete(t.places, t.round)
		t.round++
	}
}

// left notes that a ticket does not wait any more.
func (t *turns) left(who string) {
	if t.waits[who]--; t.waits[who] <= 0 {
		delete(t.waits, who)
		delete(t.last, who)
	}
	if len(t.waits) == 0 {
		clear(t.places)
	}
}
