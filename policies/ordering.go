package policies

// OrderingPolicy chooses the request that goes next within a flow.
//
// Less must be a strict weak ordering that does not change while the items
// wait, and safe for concurrent use. Items that compare equal go in the order
// of their arrival.
type OrderingPolicy interface {
	Plugin
	// Less reports whether a goes before b.
	Less(a, b QueueItemAccessor) bool
}

// Scorer is an OrderingPolicy whose order can be written as a number, lowest
// first: Less(a, b) exactly when Score(a) < Score(b). It lets the ledger order
// requests of different replicas. Without it the ledger orders them by arrival.
type Scorer interface {
	Score(item QueueItemAccessor) float64
}

// ArrivalScore is the score of first come, first served: the arrival in
// microseconds of the ledger's clock. A float64 holds it exactly to a quarter
// of a microsecond until the year 2255.
func ArrivalScore(item QueueItemAccessor) float64 {
	return float64(item.Arrival().UnixNano()) / 1e3
}
