package core

// Reused returns which part of the core still has a request that is kept for another that
// comes; empty for none.
func (c *Core) Reused() string {
	kept := make(map[*request]bool)
	for r := range c.requests.ended.All() {
		if kept[r] {
			return "what is kept"
		}
		kept[r] = true
	}
	in := ""
	look := func(part string, r *request) {
		if kept[r] {
			in = part
		}
	}
	for r := range c.requests.all(true) {
		look("waiting", r)
	}
	for r := range c.requests.came.All() {
		look("came", r)
	}
	for r := range c.requests.all(false) {
		look("inFlight", r)
	}
	for _, r := range c.requests.deadlines.of.Items() {
		look("deadlines", r)
	}
	for _, b := range c.requests.byBand.bands {
		for _, r := range b.pass.Items() {
			look("byBand", r)
		}
	}
	for _, r := range c.line.waiting {
		look("line", r)
	}
	for _, f := range c.ahead.flows {
		for r := range f.tickets.All() {
			look("ahead", r)
		}
	}
	for r := range c.handover.between.All() {
		look("between", r)
	}
	peers := []*peer{c.handover.fleet.self}
	for _, p := range c.handover.fleet.byID {
		peers = append(peers, p)
	}
	for _, p := range peers {
		for r := range p.homed.All() {
			look("homed", r)
		}
		for _, r := range p.out.queue {
			look("queue", r)
		}
		for _, r := range p.out.moving {
			look("moving", r)
		}
	}
	for _, charge := range c.ownCharges.made {
		look("ownCharges", charge.request)
	}
	for r := range c.durations.running.All() {
		look("running", r)
	}
	for r := range c.holding.held.All() {
		look("held", r)
	}
	for _, r := range c.revocations.sheddable.Items() {
		look("sheddable", r)
	}
	return in
}

// GroupsCarried is how many groups the turn under way, or the next, asks for.
func (c *Core) GroupsCarried() int { return len(c.groups.carried) }
