package core

import (
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// peers is the replicas that this one knows, and who of them owns which shard.
//
// Invariant: sorted has the values of byID, and owners a peer for each shard of the map,
// self where it names nobody else.
type peers struct {
	self    *peer
	byID    map[string]*peer // the others, also those that are not members and have a stream
	sorted  []*peer          // by their ids
	dead    []string
	ended   []coordinator.Run
	apart   []coordinator.Apart // who gossips and keeps another ledger
	shards  *shard.Map
	owners  []*peer // by shard
	known   bool    // which replicas live is known, or there are no others
	leaving bool    // this replica owns nothing any more

	attestedAt time.Time // when the ledger first said that this replica holds a lease
}

func newPeers(cfg *Config) peers {
	ps := peers{
		self:  &peer{id: cfg.Replica, incarnation: cfg.Incarnation, live: true, up: true},
		byID:  make(map[string]*peer),
		known: !cfg.InFleet,
	}
	ps.draw(cfg.Shard.Shards)
	return ps
}

// draw makes the shard map anew.
func (ps *peers) draw(shards int) {
	owning := []string{}
	if !ps.leaving {
		owning = append(owning, ps.self.id)
	}
	for id, p := range ps.byID {
		if p.live && !p.leaving {
			owning = append(owning, id)
		}
	}
	if len(owning) == 0 {
		owning = append(owning, ps.self.id)
	}
	var version uint64
	if ps.shards != nil {
		version = ps.shards.Version()
	}
	ps.shards = shard.NewMap(version+1, shards, owning)
	ps.owners = make([]*peer, shards)
	for s := range ps.owners {
		if ps.owners[s] = ps.byID[ps.shards.OwnerOf(s)]; ps.owners[s] == nil {
			ps.owners[s] = ps.self
		}
	}
}

// of returns what is known of a replica, made on demand.
func (ps *peers) of(id string) *peer {
	if id == ps.self.id {
		return ps.self
	}
	p := ps.byID[id]
	if p == nil {
		p = &peer{id: id, out: outbound{repeat: true}}
		ps.byID[id] = p
		ps.sort()
	}
	return p
}

// sort lists the other replicas in the order of their ids, so that whatever is
// done to all of them is done in the same order every time.
func (ps *peers) sort() {
	ps.sorted = ps.sorted[:0:0]
	for _, id := range slices.Sorted(maps.Keys(ps.byID)) {
		ps.sorted = append(ps.sorted, ps.byID[id])
	}
}

// members is how many replicas live, as far as is known here, and lost how many
// of the others said that the ledger is out of their reach.
func (ps *peers) members() (live, lost int) {
	return ps.count(func(p *peer) bool { return p.live })
}

// holders is how many replicas live that have held a lease in the ledger, as far as is
// known here, and lost how many of the others said that it is out of their reach. Only
// they can go on without it: whoever else gossips takes nothing of the limit.
func (ps *peers) holders() (live, lost int) {
	return ps.count(func(p *peer) bool { return p.live && p.holder })
}

func (ps *peers) count(counts func(*peer) bool) (live, lost int) {
	live = 1
	for _, p := range ps.byID {
		if counts(p) {
			live++
			if p.lost {
				lost++
			}
		}
	}
	return live, lost
}

// sharing is how many replicas may go on without the ledger, this one included, and before how
// many of them the given one comes after by their ids. What the ledger said of those that came
// during its outage is not known here: those with a stream count.
func (ps *peers) sharing(of *peer) (n, before int) {
	count := func(p *peer) {
		n++
		if p.id < of.id {
			before++
		}
	}
	count(ps.self)
	for _, p := range ps.sorted {
		if p.live && (p.holder || p.up) {
			count(p)
		}
	}
	return n, before
}

// part is a replica's part of a number that is shared by all that may go on without the ledger:
// by so many, or by as many as are known here, since who started during the outage was never
// told. It is dealt to them one by one, by their ids, after so many that were dealt before.
func (ps *peers) part(p *peer, of int64, members int, dealt int64) int64 {
	sharing, before := ps.sharing(p)
	n := int64(max(members, sharing))
	part := of / n
	if turn := ((int64(before)-dealt)%n + n) % n; int64(sharing) == n && turn < of%n {
		part++
	}
	return part
}

// lostParts is the parts of the replicas that said that the ledger is out of their reach.
func (ps *peers) lostParts(of int64, members int) (sum int64) {
	for _, p := range ps.sorted {
		if p.live && p.holder && p.lost {
			sum += ps.part(p, of, members, 0)
		}
	}
	return sum
}

// left is what is left of a limit to each replica without the ledger beside others that have
// it in another format: these end what they have in flight above their part.
func (ps *peers) left(limit int64, others *store.OtherFormatError) int64 {
	if others.Held < 0 {
		return 0
	}
	_, lost := ps.holders()
	return max(0, limit-others.Held) / int64(lost+1)
}

// attested notes whether the ledger says that this replica holds a lease.
func (ps *peers) attested(now time.Time, holder bool) {
	if holder && !ps.self.holder {
		ps.self.holder, ps.attestedAt = true, now
	}
}

// acknowledged reports whether the others know by now that this replica holds a lease, as
// far as they have the ledger: until then it takes no share without it, since nobody
// would leave it one.
func (ps *peers) acknowledged(now time.Time, after time.Duration) bool {
	return ps.self.holder && now.Sub(ps.attestedAt) >= after
}

// bury notes which replicas are believed dead, and which runs have ended: not this one,
// and none that lives.
func (ps *peers) bury(m *coordinator.Members, live map[string]bool) {
	ps.ended = slices.DeleteFunc(slices.Clone(m.Ended), func(run coordinator.Run) bool {
		return run.ID == ps.self.id || live[run.ID] && ps.byID[run.ID].incarnation <= run.Incarnation
	})
	ps.dead = slices.DeleteFunc(slices.Clone(m.Dead), func(id string) bool { return id == ps.self.id || live[id] })
}

// collect forgets replicas that are neither members nor talk to us.
func (ps *peers) collect(now time.Time, kept time.Duration) {
	for _, p := range ps.sorted {
		if !p.live && !p.up && p.homed.Empty() && now.Sub(p.seen) > kept {
			delete(ps.byID, p.id)
		}
	}
	if len(ps.sorted) != len(ps.byID) {
		ps.sort()
	}
}
