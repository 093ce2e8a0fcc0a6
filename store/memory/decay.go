package memory

import (
	"math"
	"time"
)

// Service that is to count half after a while is not decayed: what is served later
// counts the more (forward decay; Cormode et al., ICDE 2009, section 3). Counters
// then compare without being rewritten, and only when the scale has grown too large
// all are brought back. Replicas never see the scale: they state and are told what
// counts at the time.

// steps is how many steps the scale makes in a half-life, and rebaseAfter how many
// until counters are brought back.
const steps, rebaseAfter = 16, 256 * steps

// fraction has 2^(i/16), digit by digit as the Redis ledger's script has it, so that
// both count the same.
var fraction = [steps]float64{
	1, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927,
	1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543, 1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474,
}

// step numbers the step that the time falls into.
func step(now time.Time, halfLife time.Duration) int64 {
	return int64(math.Floor(float64(now.UnixMicro()) / (float64(halfLife.Microseconds()) / steps)))
}

// rescale works out what one unit of service counts now, in the book's own terms.
func (b *book) rescale(now time.Time) {
	if b.halfLife == 0 {
		return
	}
	if b.origin == 0 {
		b.origin = step(now, b.halfLife)
	}
	k := max(0, step(now, b.halfLife)-b.origin)
	b.scale = math.Ldexp(fraction[k%steps], int(k/steps))
	if k < rebaseAfter {
		return
	}
	back := 1 / b.scale
	b.node.rebase(back)
	for _, f := range b.groups {
		f.counter *= back
		f.group.rebase(back)
	}
	b.origin, b.scale = b.origin+k, 1
}

// rebase brings back what is counted in a node.
func (n *node) rebase(back float64) {
	for _, f := range n.flows {
		f.counter *= back
	}
	n.v, n.level = n.v*back, n.level*back
}
