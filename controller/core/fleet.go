package core

import (
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// fleet is what the core knows of the other replicas.
type fleet struct {
	self    *peer
	peers   map[string]*peer // the others, also such as talk to us without being members
	sorted  []*peer          // by their ids
	between int              // requests of ours that wait in two queues
	dead    []string
	shards  *shard.Map
	owners  []*peer // by shard
	known   bool    // who lives was told, or there is nobody else
	leaving bool
	lost    bool // the ledger has failed for a while
	move    Move // under way
	moved   []Move
	tallies Tallies
}

// Tallies count what the core did with, and for, the rest of the fleet.
type Tallies struct {
	// Forwarded is the tickets handed to other replicas, restated ones not
	// counted; Moves the changes of the shard map, and Moved the waiting requests
	// that were moved by them.
	Forwarded, Moves, Moved uint64
	// Revoked is the requests in flight that the ledger wanted ended.
	Revoked uint64
}

// Move is a change of the shard map, as an operator would want to hear of it.
type Move struct {
	// Version is the map's version here.
	Version uint64
	// Began is when the members changed, and Took how long it was until no
	// ticket of this replica waited in two queues any more.
	Began time.Time
	Took  time.Duration
	// Joined and Left are the replicas that came and went as owners.
	Joined, Left []string
	// Shards is how many shards have another owner now, Tickets how many waiting
	// requests of this replica moved with them.
	Shards, Tickets int
}

func newFleet(cfg *Config) fleet {
	self := &peer{id: cfg.Replica, incarnation: cfg.Incarnation, live: true, up: true}
	f := fleet{self: self, peers: make(map[string]*peer), known: !cfg.InFleet}
	f.draw(cfg.Shard.Shards)
	return f
}

// draw makes the shard map anew.
func (f *fleet) draw(shards int) {
	owning := []string{}
	if !f.leaving {
		owning = append(owning, f.self.id)
	}
	for id, p := range f.peers {
		if p.live && !p.leaving {
			owning = append(owning, id)
		}
	}
	if len(owning) == 0 {
		owning = append(owning, f.self.id)
	}
	var version uint64
	if f.shards != nil {
		version = f.shards.Version()
	}
	f.shards = shard.NewMap(version+1, shards, owning)
	f.owners = make([]*peer, shards)
	for s := range f.owners {
		if f.owners[s] = f.peers[f.shards.OwnerOf(s)]; f.owners[s] == nil {
			f.owners[s] = f.self
		}
	}
}

// peer returns what is known of a replica, made on demand.
func (f *fleet) peer(id string) *peer {
	if id == f.self.id {
		return f.self
	}
	p := f.peers[id]
	if p == nil {
		p = &peer{id: id, restate: true}
		f.peers[id] = p
		f.sort()
	}
	return p
}

// sort lists the other replicas in the order of their ids, so that whatever is
// done to all of them is done in the same order every time.
func (f *fleet) sort() {
	f.sorted = f.sorted[:0:0]
	for _, id := range slices.Sorted(maps.Keys(f.peers)) {
		f.sorted = append(f.sorted, f.peers[id])
	}
}

// members is how many replicas live, as far as is known here, and lost how many
// of the others said that the ledger is out of their reach.
func (f *fleet) members() (live, lost int) {
	live = 1
	for _, p := range f.peers {
		if p.live {
			live++
			if p.lost {
				lost++
			}
		}
	}
	return live, lost
}

// SetMembers takes in who lives.
func (c *Core) SetMembers(now time.Time, m coordinator.Members) {
	f := &c.fleet
	f.known = true
	live := make(map[string]bool)
	for _, member := range m.Live {
		if member.ID == c.cfg.Replica {
			continue
		}
		live[member.ID] = true
		p := f.peer(member.ID)
		if member.Incarnation > p.incarnation {
			c.reborn(now, p, member.Incarnation)
		}
		p.live, p.seen = true, now
		p.leaving = p.leaving || member.Leaving
	}
	f.dead = slices.DeleteFunc(slices.Clone(m.Dead), func(id string) bool { return id == c.cfg.Replica || live[id] })
	for _, p := range f.sorted {
		if p.live && !live[p.id] {
			p.live, p.lost = false, false
			c.dropTicketsOf(now, p)
			p.resync = p.up // gossip may err: one that lives states its tickets again
		}
	}
	c.remap(now)
	c.relimit(now)
	c.turn.due = true
}

// SetStream takes in whether messages to and from a replica pass.
func (c *Core) SetStream(now time.Time, id string, up bool) {
	p := c.fleet.peer(id)
	if p == c.fleet.self {
		return
	}
	p.up, p.seen = up, now
	p.restate, p.stalled = true, false
	p.awaited, p.moving = p.awaited[:0], p.moving[:0]
	p.forgetUnsent()
	if !up {
		// Its tickets wait where it is now: it queues them itself, or it is gone.
		c.dropTicketsOf(now, p)
	}
	c.rehome(now)
}

// Retire makes this replica own nothing: its tickets and the others' move to
// other owners, as far as there are any.
func (c *Core) Retire(now time.Time) {
	if !c.fleet.leaving {
		c.fleet.leaving = true
		c.remap(now)
	}
}

// Retired reports whether no other replica's ticket waits here any more.
func (c *Core) Retired() bool {
	for _, p := range c.fleet.peers {
		if p.usable() {
			for range c.queues.Of(p.id) {
				return false
			}
		}
	}
	return true
}

// reborn takes in that a replica runs anew: what its earlier run had here is
// gone, and so is what we had there.
func (c *Core) reborn(now time.Time, p *peer, incarnation uint64) {
	p.incarnation = incarnation
	p.received, p.rejected, p.ackDue, p.resync = 0, nil, false, false
	p.leaving, p.lost, p.stalled = false, false, false
	p.restate = true
	p.awaited = p.awaited[:0]
	c.dropTicketsOf(now, p)
}

// dropTicketsOf takes a replica's tickets out of the queues here.
func (c *Core) dropTicketsOf(now time.Time, p *peer) {
	for id := range c.queues.Of(p.id) {
		c.queues.Remove(id, now)
		c.turn.touched = true
	}
	p.received, p.rejected = 0, nil
}

// remap draws the shard map anew and moves tickets to where they belong.
func (c *Core) remap(now time.Time) {
	f := &c.fleet
	before := f.shards
	f.draw(c.cfg.Shard.Shards)
	if slices.Equal(before.Members(), f.shards.Members()) {
		c.rehome(now)
		return
	}
	c.endMove(now)
	f.move = Move{
		Version: f.shards.Version(), Began: now,
		Joined: without(f.shards.Members(), before.Members()), Left: without(before.Members(), f.shards.Members()),
	}
	for s := range f.owners {
		if before.OwnerOf(s) != f.shards.OwnerOf(s) {
			f.move.Shards++
		}
	}
	f.move.Tickets = c.rehome(now)
	f.tallies.Moves++
	f.tallies.Moved += uint64(f.move.Tickets)
}

// endMove reports the move under way once nothing is in two queues any more, or
// the next one begins.
func (c *Core) endMove(now time.Time) {
	if f := &c.fleet; f.move.Version != 0 {
		f.move.Took = now.Sub(f.move.Began)
		f.moved = append(f.moved, f.move)
		f.move = Move{}
	}
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

// homeOf says where a flow's tickets should wait: at the shard's owner, or here
// while the owner cannot be reached. During an outage every replica keeps its
// own, since nobody else can let them go.
func (c *Core) homeOf(flow policies.FlowKey) *peer {
	f := &c.fleet
	if len(f.peers) == 0 || c.turn.outage {
		return f.self
	}
	if p := f.owners[shard.Of(flow, len(f.owners))]; p == f.self || p.usable() {
		return p
	}
	return f.self
}

// rehome moves every waiting request to where it should wait, and returns how
// many that were.
func (c *Core) rehome(now time.Time) (moved int) {
	if len(c.fleet.peers) == 0 {
		return 0
	}
	for _, r := range c.byTicket(c.waiting) {
		if to := c.homeOf(r.Flow); to != r.home {
			c.rehomeOne(now, r, to)
			moved++
		}
	}
	return moved
}

// rehomeOne makes before it breaks: the request stays in the queue it was in
// until the new owner has acknowledged it.
func (c *Core) rehomeOne(now time.Time, r *request, to *peer) {
	old := r.home
	r.homeNode.Remove()
	r.Waited = true
	switch {
	case r.former == nil && r.number == 0 && old != c.fleet.self:
		// It was never handed over.
	case r.former == nil:
		r.former = old
		c.fleet.between++
	case r.former == to:
		r.former = old // it goes back to where it still is
	default:
		c.takeOut(now, r, old)
	}
	c.place(now, r, to)
}

// place puts a request in line for a queue.
func (c *Core) place(now time.Time, r *request, p *peer) {
	r.home, r.number = p, 0
	r.homeNode.Value = r
	p.homed.PushBack(&r.homeNode)
	if p != c.fleet.self {
		p.queue = append(p.queue, r)
		return
	}
	c.release(now, r)
	c.queueHere(now, r)
}

// queueHere queues a request of ours in our own queues.
func (c *Core) queueHere(now time.Time, r *request) {
	c.band(now, r.Flow.Priority) // it may have been forgotten while the request waited elsewhere
	displaced, err := c.queues.Add(r.Ticket, now)
	for i := range displaced {
		c.displace(now, displaced[i].ID)
	}
	if err != nil {
		c.displace(now, r.ID)
	}
	c.turn.touched = true
}

// release takes a request out of the queue it waited in before.
func (c *Core) release(now time.Time, r *request) {
	if r.former != nil {
		c.takeOut(now, r, r.former)
		r.former = nil
		c.fleet.between--
	}
}

// takeOut takes a request out of a queue.
func (c *Core) takeOut(now time.Time, r *request, p *peer) {
	if p == c.fleet.self {
		c.queues.Remove(r.ID, now)
		c.turn.touched = true
	} else if p.up {
		p.gone = append(p.gone, r.ID.Seq)
	}
}

// collectPeers forgets replicas that are neither members nor talk to us.
func (c *Core) collectPeers(now time.Time) {
	for _, p := range c.fleet.sorted {
		if !p.live && !p.up && p.homed.Empty() && now.Sub(p.seen) > 10*c.cfg.Lease {
			delete(c.fleet.peers, p.id)
		}
	}
	if len(c.fleet.sorted) != len(c.fleet.peers) {
		c.fleet.sort()
	}
}
