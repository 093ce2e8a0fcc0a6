package simulation

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// counts is what waits and what is at the model servers, counted as it changes: so the checks
// after every event need not look at every request.
type counts struct {
	cfg         *Config
	atEndpoints [3]int64 // requests at each of the endpoints
	alone       int64    // requests at the model servers that went by a replica's share, without the ledger
	aloneAt     [3]int64 // those at each of the endpoints
	crowds      map[class]*crowd
	groups      map[string]*group // by their paths
	guarantees  []*guarantee
	weighed     []*weighed
	accounts    map[class]*account
	rivals      [][]*account // those that always wait, with the others in their group
	served      bool         // since service was last compared
	measured    bool         // something was served since it was last forgotten
}

// tenant is a flow as it is counted.
type tenant struct {
	flow     Flow
	key      policies.FlowKey
	light    bool // how long its requests wait is measured
	crowd    *crowd
	accounts []charge
}

// charge is what a grant counts for in an account.
type charge struct {
	to     *account
	amount float64
}

// charges is what a grant counts for, where the account is of this weight.
func (a *account) charges(weight float64) charge {
	a.weight = weight
	return charge{a, 1 / weight}
}

// account is the grants of a flow or a group, for its weight.
type account struct {
	class  class
	got    float64
	weight float64
	has    int64 // requests at the model servers
}

// crowd is flows that count alike: of one priority and in one group.
type crowd struct {
	priority   int
	waiting    []int    // requests at each replica
	limit      limit    // of the only flow, if that has one
	groups     []*group // around it, the innermost first
	guarantees []*guarantee
	weighed    *weighed // its priority, if that has a weight
}

// group is a group over all priorities.
type group struct {
	path      string
	most      shard.Maximum
	atServers int64
	alone     int64 // those of them that went without the ledger
}

// guarantee is what a priority or a group is guaranteed, and what it has.
type guarantee struct {
	of        class
	part      float64
	crowds    []*crowd
	atServers int64
	lacks     float64   // slot-seconds
	exceeds   float64   // slot-seconds beyond it that a higher priority waited for
	repaid    time.Time // when it has paid for what it had beyond the guarantee
}

// weighed is a priority that shares the pool by weights, and what it has.
type weighed struct {
	priority  int
	weight    float64
	crowds    []*crowd
	atServers int64
	waits     bool
	ahead     []float64 // slot-seconds for its weight by which it has had more than each other
	lacks     float64   // slot-seconds of its part of what is not guaranteed to others
}

func newCounts(cfg *Config) *counts {
	k := &counts{cfg: cfg, crowds: make(map[class]*crowd), groups: make(map[string]*group), accounts: make(map[class]*account)}
	for of, part := range cfg.guaranteed() {
		k.guarantees = append(k.guarantees, &guarantee{of: of, part: part})
	}
	slices.SortFunc(k.guarantees, func(a, b *guarantee) int {
		return cmp.Or(cmp.Compare(a.of.priority, b.of.priority), cmp.Compare(a.of.group, b.of.group))
	})
	for priority, weight := range cfg.Weights {
		k.weighed = append(k.weighed, &weighed{priority: priority, weight: weight, ahead: make([]float64, len(cfg.Weights))})
	}
	slices.SortFunc(k.weighed, func(a, b *weighed) int { return cmp.Compare(a.priority, b.priority) })
	for path := range cfg.Maxima {
		k.group(path)
	}
	among := make(map[class]int)
	for _, of := range cfg.backlogged() { // those of one group are compared
		at, known := among[of.among()]
		if !known {
			at = len(k.rivals)
			among[of.among()] = at
			k.rivals = append(k.rivals, nil)
		}
		k.rivals[at] = append(k.rivals[at], k.account(of))
	}
	return k
}

// tenant returns a flow as it is counted.
func (k *counts) tenant(flow Flow) *tenant {
	return &tenant{flow: flow, key: policies.FlowKey{ID: flow.ID, Priority: flow.Priority}, crowd: k.crowd(&flow), accounts: k.charges(&flow)}
}

// charges is what a grant of a flow counts for in its account, and in those of its groups.
func (k *counts) charges(flow *Flow) (all []charge) {
	if !flow.Light {
		all = append(all, k.account(class{flow.Priority, flow.Group, flow.ID}).charges(flow.Weight))
	}
	if flow.Group != "" {
		for _, g := range k.cfg.groups(flow.Group) {
			all = append(all, k.account(class{priority: flow.Priority, group: g.Path}).charges(g.Weight))
		}
	}
	return all
}

func (k *counts) account(of class) *account {
	if k.accounts[of] == nil {
		k.accounts[of] = &account{class: of}
	}
	return k.accounts[of]
}

func (k *counts) group(path string) *group {
	if k.groups[path] == nil {
		k.groups[path] = &group{path: path, most: k.cfg.Maxima[path]}
	}
	return k.groups[path]
}

func (k *counts) crowd(flow *Flow) *crowd {
	of := class{priority: flow.Priority, group: flow.Group}
	if flow.Most > 0 {
		of.flow = flow.ID
	}
	if c := k.crowds[of]; c != nil {
		return c
	}
	c := &crowd{priority: flow.Priority, limit: limit{most: flow.Most}, waiting: make([]int, k.cfg.Replicas)}
	k.crowds[of] = c
	if flow.Group != "" {
		for path := range shard.Around(flow.Group) {
			c.groups = append(c.groups, k.group(path))
		}
	}
	for _, g := range k.guarantees {
		if c.in(g.of) {
			c.guarantees = append(c.guarantees, g)
			g.crowds = append(g.crowds, c)
		}
	}
	for _, w := range k.weighed {
		if w.priority == c.priority {
			c.weighed = w
			w.crowds = append(w.crowds, c)
		}
	}
	return c
}

// in reports whether the crowd is of a priority, or in a group over all of them.
func (c *crowd) in(of class) bool {
	if of.group == "" {
		return c.priority == of.priority
	}
	return slices.ContainsFunc(c.groups, func(g *group) bool { return g.path == of.group })
}

// full reports whether the crowd is in a group at its maximum, where that many slots are in
// use, or is a flow at its limit.
func (c *crowd) full(slots int64) bool {
	if c.limit.reached() {
		return true
	}
	for _, g := range c.groups {
		if most := maximum(g.most, slots); most > 0 && g.atServers >= most {
			return true
		}
	}
	return false
}

// waits reports whether anything of these crowds waits at a replica where it may go.
func waits(crowds []*crowd, may func(c *crowd, replica int) bool) bool {
	for _, c := range crowds {
		for replica, n := range c.waiting {
			if n > 0 && may(c, replica) {
				return true
			}
		}
	}
	return false
}

// flies counts requests that came to an endpoint, or left it.
func (k *counts) flies(x flight, by int64) {
	if i := slices.Index(endpoints, x.endpoint); i >= 0 { // else the fleet is broken on purpose
		k.atEndpoints[i] += by
	}
	c := x.tenant.crowd
	c.limit.flies(x, by)
	for _, charge := range x.tenant.accounts {
		charge.to.has += by
	}
	for _, g := range c.groups {
		g.atServers += by
	}
	if x.alone {
		k.goneAlone(x, by)
	}
	for _, g := range c.guarantees {
		g.atServers += by
	}
	if c.weighed != nil {
		c.weighed.atServers += by
	}
}

// serve notes that a request of a tenant was granted.
func (k *counts) serve(t *tenant) {
	k.served, k.measured = true, true
	if k.cfg.ByTime {
		return
	}
	for _, c := range t.accounts {
		c.to.got += c.amount
	}
}

// forget has service be measured anew.
func (k *counts) forget() {
	if !k.measured {
		return
	}
	k.measured = false
	for _, a := range k.accounts {
		a.got = 0
	}
}
