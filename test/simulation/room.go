package simulation

import "slices"

// free is how many more requests the pool takes.
func (f *fleet) free() (n int64) {
	if !f.cfg.Bounded {
		return f.cfg.Limit - int64(len(f.flights))
	}
	for i, e := range endpoints {
		if !f.drained[e] {
			n += f.cfg.takes(i) - f.counts.atEndpoints[i]
		}
	}
	return n
}

// inUse is how many slots there are at endpoints that a replica reaches: of which a maximum may
// be a part.
func (f *fleet) inUse() (n int64) {
	if !f.cfg.Bounded || len(f.cfg.Maxima) == 0 {
		return f.cfg.Limit
	}
	for i, e := range endpoints {
		reached := func(n *node) bool { return n.alive && slices.Contains(n.reach, e) }
		if !f.drained[e] && slices.ContainsFunc(f.nodes, reached) {
			n += f.cfg.takes(i)
		}
	}
	return n
}

// roomFor reports whether a replica reaches an endpoint that takes another request.
func (f *fleet) roomFor(n *node) bool {
	if !f.cfg.Bounded {
		return true
	}
	for i, e := range endpoints {
		if f.counts.atEndpoints[i] < f.cfg.takes(i) && !f.drained[e] && slices.Contains(n.reach, e) {
			return true
		}
	}
	return false
}
