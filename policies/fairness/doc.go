// Package fairness has the built-in fairness policies. Each comes down to two
// numbers: the rank of a flow's next request, lowest first, and the charge that
// serving a request adds to its flow's counter.
//
//	policy                  rank                  charge
//	round robin             the flow's counter    1 / weight
//	vtc                     the flow's counter    weighted tokens / weight
//	program-aware (las)     the flow's counter    weighted tokens / weight, decaying
//	global strict           the request's score   0
//
// A counter that does not decay is lifted to the band's virtual time when its flow
// comes back from idleness.
package fairness
