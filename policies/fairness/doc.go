// Package fairness has the built-in fairness policies. Those that count come down to
// a charge, which over the flow's weight is added to the flow's counter; the lowest
// counter goes next. The one that ranks gives a rank, and the lowest goes next.
//
//	policy                  kind        charge             rank
//	round robin             counting    1
//	vtc                     counting    weighted tokens
//	program-aware (las)     counting    weighted tokens, decaying
//	slots                   counting    seconds of a slot
//	global strict           ranking                        the request's score
//
// A counter that does not decay is lifted to the band's virtual time when its flow
// comes back from idleness.
package fairness
