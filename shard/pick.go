package shard

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// Reasons why a pick fails beside an error of the policy's own.
var (
	errNoPick      = errors.New("no flow was picked though requests wait")
	errForeignPick = errors.New("what was picked is no flow of the band")
	errEmptyPick   = errors.New("a flow was picked that has no request to go")
)

// FailedPick is a fairness policy's failure to choose.
type FailedPick struct {
	Priority int
	Policy   policies.TypedName
	Err      error
}

// picks is the state of a band, or of a group in it, under a policy that only picks.
type picks struct {
	flow *flow   // that was picked and has not gone yet; nil for none
	rank float64 // of the last pick
	// stuck is set when the last pick failed and nothing has changed since that the
	// policy could see.
	stuck  bool
	failed bool // a first failure was reported
}

// offerPick offers the head of the flow whose turn it is, and picks that flow if there is
// none. A pick is one turn after the last one that the group has seen, so that the picks of
// all replicas take turns.
func (s *Set) offerPick(g *group) {
	if f := g.picks.flow; f != nil && len(f.offered) == 0 && f.backlogIndex == 0 {
		g.picks.flow = nil // it has no more, or may not go
	}
	if g.picks.flow == nil {
		f, err := g.pick()
		if err != nil {
			s.pickFailed(g, err)
			return
		}
		g.picks.flow, g.picks.rank = f, max(g.v, g.picks.rank)+1
	}
	s.offer(g.picks.flow, g.picks.rank)
}

// pick asks the policy. There is a flow that it can pick.
func (g *group) pick() (*flow, error) {
	picked, err := g.band.cfg.Fairness.Pick(context.Background(), g)
	if err != nil {
		return nil, err
	}
	f, ours := picked.(*flow)
	switch {
	case picked == nil, ours && f == nil:
		return nil, errNoPick
	case !ours, g.band.flows[f.key.ID] != f, f.group != g:
		return nil, errForeignPick
	case f.backlogIndex == 0:
		return nil, fmt.Errorf("%w: %s", errEmptyPick, f.key)
	}
	return f, nil
}

// pickFailed counts the failure, and reports the first of a band.
func (s *Set) pickFailed(g *group, err error) {
	s.failedPicks++
	g.picks.stuck = true
	g.placed()
	if !g.picks.failed {
		g.picks.failed = true
		s.failures = append(s.failures, FailedPick{g.band.priority, g.band.cfg.Fairness.TypedName(), err})
	}
}

// went notes that a ticket of the flow was dispatched: its turn is over. An offer that
// took the ticket's place meanwhile has to wait for the next.
func (s *Set) went(f *flow) {
	if f.group.picks.flow != f {
		return
	}
	f.group.picks.flow = nil
	for len(f.offered) > 0 {
		s.unoffer(f.offered[len(f.offered)-1])
	}
}

// FailedPicks returns how often a fairness policy failed to choose.
func (s *Set) FailedPicks() uint64 { return s.failedPicks }

// TakeFailures hands over the first failure of each band that was not handed over yet.
func (s *Set) TakeFailures() []FailedPick {
	failures := s.failures
	s.failures = nil
	return failures
}
