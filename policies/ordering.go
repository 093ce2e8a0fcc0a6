package policies

// OrderingPolicy chooses the request that goes next within a flow.
//
// Less must be a strict weak ordering of the requests of a band that does not
// change while they wait, and safe for concurrent use. Items that compare equal
// go in the order of their arrival.
//
// A flow's requests are dispatched in this order, over all replicas: they wait in
// one queue. A policy without [Scorer] has its requests numbered by their places
// in the order, which costs log2(n) calls of Less for each of n that wait in the
// band at the replica, and a move of up to 8n bytes.
type OrderingPolicy interface {
	Plugin
	// Less reports whether a goes before b.
	Less(a, b QueueItemAccessor) bool
}

// Scorer is an OrderingPolicy whose order can be written as a number, lowest
// first: Less(a, b) exactly when Score(a) < Score(b). Less is then not called. It is
// faster, and orders requests of one flow also while they wait at different
// replicas, as they do when the replicas cannot reach each other, and under global
// strict fairness those of different flows.
type Scorer interface {
	Score(item QueueItemAccessor) float64
}

// ArrivalScore is the score of first come, first served: the arrival in
// microseconds of the ledger's clock. A float64 holds it exactly to a quarter
// of a microsecond until the year 2255.
func ArrivalScore(item QueueItemAccessor) float64 {
	return float64(item.Arrival().UnixNano()) / 1e3
}
