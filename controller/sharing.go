package controller

import (
	"context"
	"sync"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/store"
)

// sharing keeps up what a ledger says beside the turns: which ledger it is, for the
// fleet to know, and which members have held a lease in it, for the core. It is the
// coordinator's members on their way to the core.
type sharing struct {
	ledger      store.Shared // nil where the ledger does not say: all members are believed
	fleet       coordinator.Fleet
	replica     string
	incarnation uint64
	timeout     time.Duration // of a question to the ledger
	every       time.Duration // between questions while a member is not known to have held a lease
	tell        func(coordinator.Members)

	wake chan struct{}

	mu       sync.Mutex
	members  coordinator.Members
	holders  map[string]uint64 // the runs of replicas that have held a lease
	identity string            // of the ledger, as the fleet knows it
	holds    bool              // this replica holds a lease, or would if it were of the ledger's version
	attested bool              // and the ledger has noted it
}

// refreshEvery is how often the ledger is asked for its identity, and this replica's lease
// attested anew: a ledger may lose either.
const refreshEvery = 10 * time.Second

func newSharing(o *options, ledger store.Ledger, tell func(coordinator.Members)) *sharing {
	s := &sharing{
		fleet: o.fleet, replica: o.replica, incarnation: o.incarnation, timeout: o.turnTimeout, every: o.lease / 6, tell: tell,
		wake: make(chan struct{}, 1), holders: make(map[string]uint64),
	}
	s.ledger, _ = ledger.(store.Shared)
	s.identity = o.fleet.Ledger()
	return s
}

// changed takes in who lives.
func (s *sharing) changed(m coordinator.Members) {
	s.mu.Lock()
	s.members = m
	s.mu.Unlock()
	s.pass()
	s.look()
}

// registered takes in that this replica holds a lease, anew or for the first time.
func (s *sharing) registered() {
	s.mu.Lock()
	s.holds, s.attested = true, false
	s.mu.Unlock()
	s.look()
}

// refused takes in that replicas of another version keep the ledger. Those that say what they
// hold leave this one its share, as if it had a lease and had lost the ledger.
func (s *sharing) refused(by *store.OtherFormatError) {
	s.mu.Lock()
	first := by.Held >= 0 && !s.holds
	s.holds = s.holds || first
	s.mu.Unlock()
	if first {
		s.look()
	}
}

func (s *sharing) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pass tells the core of the members, and which of them have held a lease. It does so
// under the lock, so that the last word is the latest.
func (s *sharing) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members
	m.Live = append([]coordinator.Member(nil), m.Live...)
	for i := range m.Live {
		l := &m.Live[i]
		l.Leaseholder = s.ledger == nil || s.holders[l.ID] == l.Incarnation
	}
	s.tell(m)
}

// run asks the ledger until ctx ends.
func (s *sharing) run(ctx context.Context) {
	if s.ledger == nil {
		return
	}
	soon, seldom := time.NewTicker(s.every), time.NewTicker(refreshEvery)
	defer soon.Stop()
	defer seldom.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-soon.C:
		case <-seldom.C:
			s.refresh(ctx)
		}
		s.ask(ctx)
	}
}

// refresh has the lease attested anew, and tells the fleet of an identity that changed.
func (s *sharing) refresh(ctx context.Context) {
	s.mu.Lock()
	s.attested = false
	known := s.identity
	s.mu.Unlock()
	ctx, done := context.WithTimeout(ctx, s.timeout)
	defer done()
	identity, err := s.ledger.Identity(ctx, known)
	if err != nil || identity == known {
		return // out of reach: the next time
	}
	s.mu.Lock()
	s.identity = identity
	s.mu.Unlock()
	s.fleet.SetLedger(identity)
}

// ask attests this replica's lease and asks who has held one, as far as that is not known.
func (s *sharing) ask(ctx context.Context) {
	s.mu.Lock()
	attest, unknown := s.holds && !s.attested, s.unknown()
	s.mu.Unlock()
	if !attest && !unknown {
		return
	}
	ctx, done := context.WithTimeout(ctx, s.timeout)
	defer done()
	if attest && s.ledger.Attest(ctx, s.replica, s.incarnation) == nil {
		s.mu.Lock()
		s.attested = true
		s.mu.Unlock()
	}
	if !unknown {
		return
	}
	holders, err := s.ledger.Leaseholders(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	known := make(map[string]uint64)
	for _, l := range s.members.Live { // what was once known stays so for as long as it lives
		if holders[l.ID] == l.Incarnation || s.holders[l.ID] == l.Incarnation {
			known[l.ID] = l.Incarnation
		}
	}
	grown := s.more(known)
	s.holders = known
	s.mu.Unlock()
	if grown {
		s.pass()
	}
}

// more reports whether a run is known that was not.
func (s *sharing) more(known map[string]uint64) bool {
	for id, incarnation := range known {
		if s.holders[id] != incarnation {
			return true
		}
	}
	return false
}

// unknown reports whether a member is not known to have held a lease.
func (s *sharing) unknown() bool {
	for _, l := range s.members.Live {
		if s.holders[l.ID] != l.Incarnation {
			return true
		}
	}
	return false
}
