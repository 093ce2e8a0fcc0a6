package simulation

// limit is what a flow may have in flight, and what it has.
type limit struct {
	most      int64 // 0 for any number
	atServers int64
	alone     int64 // those of them that went without the ledger
}

func (l *limit) flies(x flight, by int64) {
	l.atServers += by
	if x.alone {
		l.alone += by
	}
}

func (l *limit) reached() bool { return l.most > 0 && l.atServers >= l.most }

// checkLimits: never more of a flow at the model servers than its own limit, with the allowances of the
// pool's. While the ledger is out of reach, each of the replicas may have one.
func (f *fleet) checkLimits() {
	for of, c := range f.counts.crowds {
		l := &c.limit
		switch {
		case l.most == 0:
		case l.atServers > l.most+f.allowed(l.alone):
			f.fail("limit", "%d requests of %v at the model servers, of %d", l.atServers, of, l.most)
		case l.alone > max(l.most, int64(f.cfg.Replicas)):
			f.fail("limit", "%d requests of %v went without the ledger, of %d", l.alone, of, l.most)
		}
	}
}
