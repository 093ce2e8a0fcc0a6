package core

import (
	"time"

	"github.com/weirflow/weir/store"
)

// passing is this replica's requests that go in slots that end here, before all that stand in
// line: those of bands that want little of the pool, as the ledger says. The sum in flight does
// not change by that, so nothing has to be asked; they are charged afterwards, as what goes by
// float. All of such a band is next anyway, so it only matters which slot is the first to end.
//
// Invariant: byBand has the requests that wait here and are of the kind to pass, by priority.
type passing struct {
	bystander
	requests *requests
	float    *float
	loads    *loads
	bands    *bands
	line     *line

	may   bool // some bands pass, as of the last reply: those above that one
	above int
}

// next returns the request that may go in a slot of this replica that is free, and to which
// endpoint; nil for none.
func (p *passing) next(now time.Time) (r *request, endpoint string) {
	if !p.may || p.float.open(now) == 0 || !p.line.fits() {
		return nil, ""
	}
	for _, b := range p.requests.byBand.bands { // highest priority first
		if b.priority <= p.above {
			break
		}
		if b.pass.Len() > 0 && p.goes(now, b.pass.Min()) {
			r = b.pass.Min()
			break
		}
	}
	if r == nil || !p.loads.bounded {
		return r, ""
	}
	if endpoint = p.loads.choose(r.Prefer); endpoint == "" {
		return nil, ""
	}
	return r, endpoint
}

// waiting is how many requests wait here that pass.
func (p *passing) waiting() (n int) {
	if !p.may {
		return 0
	}
	for _, b := range p.requests.byBand.bands {
		if b.priority > p.above {
			n += b.pass.Len()
		}
	}
	return n
}

// goes reports whether a request may go without having been granted: one in line is charged
// already, and goes from there; the ledger must know its band; and where a band remembers what
// idle flows were served, owners keep that for the ledger and hear of what was granted only.
func (p *passing) goes(now time.Time, r *request) bool {
	if r.inLine() {
		return false
	}
	_, known := p.float.limits[r.Flow.Priority]
	return known && chargedAfterwards(p.bands.of(now, r.Flow.Priority))
}

// The passing are a participant.

func (p *passing) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	p.may, p.above = r.MayPass, r.PassAbove
}

func (p *passing) lost(time.Time) { p.may = false }
