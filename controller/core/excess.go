package core

import "github.com/weirflow/weir/store"

// excess is by how many requests endpoints have more than they take: one had to go there since another
// endpoint failed it, or they take less than they did, or requests went there without the ledger. The
// slots of as many that end there are given up here. Else each would be filled again, from the line or by
// a permit, as if the ledger left room there, and the excess stay for as long as anybody waits. Where
// something else chooses the endpoints, an external picker, what each takes is its affair: slots are
// filled as they end.
//
// Invariant: at has none below 1.
type excess struct {
	at    map[string]int64 // this replica's part, at each endpoint
	since map[string]int64 // by how much that changed since the last statement began, of which the ledger does not know

	elsewhere bool // something else chose a request's endpoint since the ledger last told
}

func newExcess() excess { return excess{at: make(map[string]int64), since: make(map[string]int64)} }

// add takes in that it changed here.
func (x *excess) add(endpoint string, by int64) {
	x.since[endpoint] += by
	x.set(endpoint, x.at[endpoint]+by)
}

func (x *excess) set(endpoint string, n int64) {
	if n > 0 {
		x.at[endpoint] = n
	} else {
		delete(x.at, endpoint)
	}
}

// stated notes that a statement begins.
func (x *excess) stated() { clear(x.since) }

// learn takes in what the ledger counts at the endpoints, how much of that is this replica's, and how many
// of these went without the ledger. What is too much is taken off all replicas that have requests there, each
// for its part; but one whose requests went without the ledger takes off all of it, up to their number. The
// others may not know yet that these are there, and fill their slots meanwhile, which the ledger granted
// within what the endpoint takes: so the excess would outlast the requests that it comes from.
func (x *excess) learn(loads []store.Load, ours func(endpoint string) (all, alone int64)) {
	clear(x.at)
	if x.elsewhere {
		x.elsewhere = false
		return
	}
	for i := range loads {
		e := &loads[i]
		over := int64(0)
		if e.Capacity > 0 && e.InFlight > e.Capacity {
			all, alone := ours(e.Endpoint)
			over = e.InFlight - e.Capacity
			over = max((over*all+e.InFlight-1)/e.InFlight, min(over, alone))
		}
		x.set(e.Endpoint, over+x.since[e.Endpoint])
	}
}
