package policies

// LeastBandWeight and MostBandWeight bound the weight of a priority that shares.
const (
	LeastBandWeight = 1e-6
	MostBandWeight  = 1e6
)

// ValidBandWeight reports whether a priority may have that weight.
func ValidBandWeight(w float64) bool {
	return w == 0 || w >= LeastBandWeight && w <= MostBandWeight
}

// BandWeight is what the policy says of a priority, or what the contract allows that is
// nearest: a ledger takes no other. What is no number is strict.
func BandWeight(p BandPolicy, priority int, configured float64) float64 {
	w := p.BandWeight(priority, configured)
	if !(w > 0) {
		return 0
	}
	return max(LeastBandWeight, min(w, MostBandWeight))
}

// BandPolicy says how priorities share a pool beyond what they are guaranteed: which of them
// goes next where several have requests waiting.
//
// It is asked for data and not for a choice: the choice is the ledger's, over all replicas and
// by what all of them have in flight, and it is the same in Redis, in memory, and in an
// outage. So it must be safe for concurrent use, and follow from its arguments alone.
type BandPolicy interface {
	Plugin
	// BandWeight is what a priority gets of the pool beside the others that wait, by slots
	// times time; 0 if it goes before all lower priorities and after all higher ones, whatever
	// those weigh. Of those that do not, each shares with its neighbours. It must be 0, or
	// from [LeastBandWeight] to [MostBandWeight]. Configured is the weight that the configuration gives
	// the priority, 1 where it says nothing.
	BandWeight(priority int, configured float64) float64
}
