package simulation

// simulated are rules that the invariants stand on, each undone, and the invariant that breaks first.
var simulated = []mutant{
	{rule: "the ledger grants one more than the limit", file: "store/memory/grant.go", was: `occupied < c.band.limit`, is: `occupied <= c.band.limit`, found: "capacity"},
	{rule: "it grants one more by a guarantee", file: "store/memory/grant.go", was: `occupied < l.most`, is: `occupied <= l.most`, found: "capacity"},
	{rule: "float is not counted in the pool", file: "store/memory/float.go", was: `l.held += give`, statement: true, found: "capacity"},
	{rule: "float is not counted for its replica", file: "store/memory/float.go", was: `r.held += give`, statement: true, found: "authority"},
	{rule: "float is not recalled", file: "store/memory/float.go", was: `recall(l.replicas, &l.recalled, now, func(r *replica) bool { return r.lent })`, statement: true, found: "work conserving"},
	{rule: "the lost do not count", file: "store/memory/lost.go", was: `r.until = now.Add(meanwhile + l.lastOf(r, longest))`, is: `r.until = now`, statement: true, found: "capacity"},
	{rule: "a ledger that begins anew waits for nobody", file: "store/memory/grant.go", was: `len(l.replicas) < l.expected && now.Before(l.recovered)`, is: `false`, found: "endpoint"},
	{rule: "what is in flight at endpoints out of use fills the pool", file: "store/memory/grant.go", was: `max(l.float, l.held-l.outOfUse)`, is: `l.held`, found: "work conserving"},
	{rule: "who is said to be dead is", file: "store/memory/leases.go", was: `r.lease.Sub(now) <= l.cfg.Lease/2`, is: `true`, found: "authority"},
	{rule: "a turn that is late counts", file: "store/memory/ledger.go", was: `s.Number <= r.last`, is: `false`, found: "authority"},

	{rule: "lines have no most", file: "controller/core/line.go", was: `int64(min(most, math.Ceil(slots*l.lasting())))`, is: `int64(100+0*most)`, found: "line"},
	{rule: "a line stands beside a higher band", file: "store/memory/line.go", was: `bd.waits("") || now.Sub(bd.offered) < long`, is: `false`, found: "guarantee"},
	{rule: "who goes from a line is not counted for its replica", file: "store/memory/line.go", was: `r.held++`, statement: true, found: "authority"},
	{rule: "nor in the pool", file: "store/memory/line.go", was: `l.held++`, statement: true, found: "capacity"},
	{rule: "a line goes without a slot", file: "controller/core/line.go", was: `l.float.open(now) <= l.revoked`, is: `false`, found: "authority"},
	{rule: "nothing is given up for those that pass", file: "store/memory/passing.go", was: `max(0, min(standing[ingress.id], l.passingAt(ingress, above)-ingress.held))`, is: `int64(0)`, found: "priority"},
	{rule: "any band passes here", file: "controller/core/passing.go", was: `b.priority <= p.above`, is: `false`, found: "no ticket lost"},

	{rule: "a full endpoint takes one more", file: "store/memory/places.go", was: `e.room() > 0`, is: `e.room() >= 0`, found: "endpoint"},
	{rule: "permits are as many as an endpoint takes", file: "store/memory/places.go", was: `(e.capacity - e.inFlight) / floatPart`, is: `e.capacity`, found: "endpoint"},
	{rule: "a grant does not count where it is to go", file: "store/memory/loads.go", was: `had.inFlight++`, statement: true, found: "endpoint"},
	{rule: "a grant goes where there is most", file: "store/memory/loads.go", was: `cmp.Compare(e.inFlight, other.inFlight)`, is: `cmp.Compare(other.inFlight, e.inFlight)`, found: "spread"},
	{rule: "one that had to go to a full endpoint is followed", file: "controller/core/permits.go", was: `l.excess.at[endpoint] == 0`, is: `true`, found: "endpoint"},
	{rule: "who is short of room has the room of a group", file: "shard/short.go", was: `offers - s.ofShort(bd, kind)`, is: `offers`, found: "work conserving"},

	{rule: "nothing is due by a guarantee", file: "store/memory/shares.go", was: `c.share.Room(l.has(c)) > 0 && l.waits(c)`, is: `false`, found: "guarantee"},
	{rule: "a part of a slot is due for good", file: "store/guarantee.go", was: `g.Owed = min(g.Owed+change, g.Slots*MostOwed)`, statement: true, found: "guarantee"},
	{rule: "weights do not count", file: "store/memory/weighed.go", was: `store.NextByWeight(weighing, l.foresight)`, is: `-1`, found: "weights"},
	{rule: "grants do not count to a maximum", file: "store/memory/maxima.go", was: `l.holdLimited(ingress, id, 1)`, statement: true, found: "maximum"},
	{rule: "who is in a group with a maximum goes by float", file: "controller/core/float.go", was: `r.limited || !f.fits()`, is: `!f.fits()`, found: "maximum"},
	{rule: "a maximum does not hold without the ledger", file: "controller/core/maxima.go", was: `x.inFlight[path] >= share(max(1, most))`, is: `false`, found: "maximum"},
	{rule: "the limit of a flow does not hold", file: "store/memory/grant.go", was: `m != nil && !m.open(now)`, is: `false`, found: "limit"},
	{rule: "a group is not charged", file: "store/memory/groups.go", was: `g.counter += charge`, statement: true, found: "fairness and continuity"},
	{rule: "a flow is not charged", file: "store/memory/books.go", was: `f.counter += o.Charge * n.book.scale`, statement: true, found: "no ticket lost"},

	{rule: "float is spent however old the lease is", file: "controller/core/float.go", was: `now.Sub(e.leased) <= e.timings.FreshFor`, is: `true`, found: "authority"},
	{rule: "a wake-up's grant goes however old the lease is", file: "controller/core/exchange.go", was: `!current || now.Sub(e.leased) > e.timings.FreshFor`, is: `!current`, found: "capacity"},
	{rule: "a share is one more", file: "controller/core/outage.go", was: `has() >= limit`, is: `has() > limit`, found: "share"},
	{rule: "a share of an endpoint is one more", file: "controller/core/outage.go", was: `o.loads.here[endpoint].requests < o.at(now, endpoint)`, is: `o.loads.here[endpoint].requests <= o.at(now, endpoint)`, found: "share"},
	{rule: "a message that is missing is not asked for", file: "controller/core/receive.go", was: `!m.Full && (m.Number != in.received+1 || in.received == 0)`, is: `false`, found: "work conserving"},
}
