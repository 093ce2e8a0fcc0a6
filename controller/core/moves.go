package core

import (
	"slices"
	"time"

	"github.com/weirflow/weir/shard"
)

// moves is the changes of the shard map: the one under way, and those that are over.
type moves struct {
	current      Move // under way if its version is not 0
	done         []Move
	total, moved uint64
}

// begin notes that the map changed from one to another.
func (m *moves) begin(now time.Time, from, to *shard.Map, shards int) {
	m.end(now)
	m.current = Move{
		Version: to.Version(), Began: now,
		Joined: without(to.Members(), from.Members()), Left: without(from.Members(), to.Members()),
	}
	for s := range shards {
		if from.OwnerOf(s) != to.OwnerOf(s) {
			m.current.Shards++
		}
	}
	m.total++
}

// carry notes how many tickets move with the change under way.
func (m *moves) carry(tickets int) {
	m.current.Tickets = tickets
	m.moved += uint64(tickets)
}

// end reports the move under way, if there is one.
func (m *moves) end(now time.Time) {
	if m.current.Version != 0 {
		m.current.Took = now.Sub(m.current.Began)
		m.done = append(m.done, m.current)
		m.current = Move{}
	}
}

// take hands out the moves that are over.
func (m *moves) take() (done []Move) {
	done, m.done = m.done, nil
	return done
}

// without returns what of a is not in b.
func without(a, b []string) (rest []string) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			rest = append(rest, id)
		}
	}
	return rest
}
