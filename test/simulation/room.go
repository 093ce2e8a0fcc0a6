package simulation

import "slices"

// free is how many more requests the pool takes.
func (f *fleet) free() (n int64) {
	if !f.cfg.Bounded {
		return f.cfg.Limit - int64(len(f.flights))
	}
	at := f.atEndpoints()
	for _, e := range endpoints {
		if !f.drained[e] {
			n += f.cfg.takes(e) - at[e]
		}
	}
	return n
}

// inUse is how many slots there are at endpoints that a replica reaches.
func (f *fleet) inUse() (n int64) {
	if !f.cfg.Bounded {
		return f.cfg.Limit
	}
	for _, e := range endpoints {
		reached := func(n *node) bool { return n.alive && slices.Contains(n.reach, e) }
		if !f.drained[e] && slices.ContainsFunc(f.nodes, reached) {
			n += f.cfg.takes(e)
		}
	}
	return n
}

// roomFor reports whether a replica reaches an endpoint that takes another request.
func (f *fleet) roomFor(n *node) bool {
	at := f.atEndpoints()
	return !f.cfg.Bounded || slices.ContainsFunc(n.reach, func(e string) bool { return !f.drained[e] && at[e] < f.cfg.takes(e) })
}

// atEndpoints is how many requests there are at each.
func (f *fleet) atEndpoints() map[string]int64 {
	at := make(map[string]int64)
	for _, x := range f.flights {
		at[x.endpoint]++
	}
	return at
}
