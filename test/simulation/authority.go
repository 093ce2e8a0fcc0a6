package simulation

import (
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/store/memory"
)

// authority is how long after a turn a replica lets requests go without another, by its
// own clock, and some more.
const authority = 950 * time.Millisecond

// checkAuthority: what a replica has in flight, and what it would let go by itself, by its
// float or from its line, is never more than the ledger counts for it, as long as the ledger
// remembers.
func (f *fleet) checkAuthority() {
	ledger, ok := f.ledger.(*memory.Ledger) // what another counts for a replica is not to be seen
	if !ok || f.now.Sub(f.rolledBack) < authority {
		return
	}
	for _, n := range f.nodes {
		if !n.alive || n.core.LedgerState() == core.Outage || n.core.LedgerState() == core.Registering {
			continue
		}
		inFlight, permits, room := n.core.Authority(n.now())
		held, generation, known := ledger.Held(n.id, n.incarnation)
		f.permits += permits
		switch {
		case generation != n.core.Generation(): // it has not heard of it yet
		case room == 0 && n.forgotten: // the ledger is as it was before some of these went, and no more do
		case known && inFlight+room > held:
			f.fail("authority", "%s has %d in flight and room for %d, and the ledger counts %d", n.id, inFlight, room, held)
		case !known && room > 0:
			f.fail("authority", "%s has room for %d and no lease", n.id, room)
		}
	}
}

// checkLine: no more stand in line than the bound of fairness has room for.
func (f *fleet) checkLine(well bool) {
	if !well {
		return // those that a new generation does not know are on their way back
	}
	lined := 0
	for _, n := range f.nodes {
		if n.alive {
			lined += n.core.InLine()
		}
	}
	if most := f.cfg.inLine(); float64(lined) > most {
		f.fail("line", "%d stand in line, %.0f at most may", lined, most)
	}
}

// inLine is how many requests may be charged and stand in line: six at each replica, or as many as
// its slots, and 64 at most, or 64 beside a ledger that is far. The ledger counts there who will be left when its
// messages are read: those whom a slot is on its way to stand there until then, as many as there are slots.
func (c *Config) inLine() float64 {
	replicas, slots := float64(c.Replicas), float64(c.Limit)
	if c.furthest() >= 20*time.Millisecond {
		return 64*replicas + slots
	}
	return min(64*replicas, 6*replicas+slots) + slots
}
