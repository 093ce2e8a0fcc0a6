package memory

// The level is the virtual time of the ideal fluid server, which serves all flows that
// wait at once, for their weights: a charge moves it by that over the sum of the weights
// that wait. A flow that the book does not know begins there; one that it knows comes back
// at V, if that is more than its counter. Beginning at V, newcomers would all go before a
// flow that was just served, and V does not move while they are served: a stream of them
// would starve everybody else.
//
// Bound. Let m be the largest charge of a request over its flow's weight, and f a flow that
// waits throughout. A grant goes to the lowest counter, and the level is at least that. So
// when f was granted something, the level was at least what f's counter was then, and f is
// now at most m above it. Until f's next grant, others are granted what stands below f's
// counter. These are
//
//   - newcomers that began before the level passed f's counter. Every grant moves the level
//     by its charge over the weights that wait; so, where W is the most that they were, after
//     grants of m·W in all, for one charge of each flow that waits, newcomers begin behind f,
//     and those that came before and still wait are of a weight of W at most: once more so
//     much;
//   - flows that the book knows, each up to f's counter and one charge, as without newcomers.
//
// One in each such stretch is f's, as its share is; a flow that waits never loses its place
// to the level, since the level moves no counter but a newcomer's.
//
// Nor does a newcomer wait much longer. A flow that came back at V takes service that is
// behind the level; moved by that, the level would run away from everybody who waits. So it
// moves only with a flow that stands at most one more such charge behind it: it is never
// above V + 3m.

// beginning is the counter of a flow that the book does not know.
func (n *node) beginning() float64 {
	if n.waiting.Len() > 0 {
		return max(n.level, n.waiting.Min().rank())
	}
	return n.level
}

// follow moves the level for what a flow of that weight was charged, which left its
// counter where it is.
func (n *node) follow(charge, counter, weight float64) {
	if counter+charge >= n.level && n.weight > 0 {
		n.level += charge * weight / max(n.weight, weight)
	}
}

// refund moves the level back for a correction (below zero) of what the level has followed,
// as far as the flow's counter, and V: newcomers that are charged too much at first begin
// one behind the other all the same.
func (n *node) refund(delta, counter, weight float64) {
	if n.weight > 0 {
		n.level = min(n.level, max(n.level+delta*weight/max(n.weight, weight), counter, n.v))
	}
}

// weigh takes over the weight of a flow that waits, as it was last stated.
func (f *flow) weigh(weight float64) {
	f.in.weight += weight - f.weight
	f.weight = weight
}

// unweigh notes that the flow waits no more.
func (f *flow) unweigh() {
	f.weigh(0)
	if f.in.waiting.Len() == 0 {
		f.in.weight = 0 // whatever rounding left
	}
}
