package core

import "time"

// ownCharges is what this replica charged by its own decision in the outage under way,
// as far back as it is settled.
type ownCharges struct {
	bystander
	timings     *Timings
	settlements *settlements

	made []ownCharge // oldest first
}

// ownCharge is one charge.
type ownCharge struct {
	at      time.Time
	request *request // knows what it has been charged since
	counter float64  // the least that the flow's counter was at
}

func (o *ownCharges) add(now time.Time, r *request) {
	for len(o.made) > 0 && now.Sub(o.made[0].at) >= o.timings.OutageSettled {
		o.made = o.made[1:]
	}
	o.made = append(o.made, ownCharge{at: now, request: r, counter: r.counter})
}

// regained settles the last charges. What the others turn out to cost is not settled
// either.
func (o *ownCharges) regained(now time.Time) {
	for _, charge := range o.made {
		if r := charge.request; now.Sub(charge.at) < o.timings.OutageSettled {
			r.own = false
			o.settlements.settle(r.account(), r.charge, r.service, charge.counter, 0)
		}
	}
	o.made = nil
}
