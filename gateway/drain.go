package gateway

import (
	"sync"
	"time"

	"github.com/weirflow/weir/gateway/refusal"
)

// drain estimates in how long there will be room, from how long requests hold their slots.
// It is safe for concurrent use.
type drain struct {
	mu             sync.Mutex
	seconds, count float64 // sums that fade, as those of pace
}

// learn takes in how long a request held its slot.
func (d *drain) learn(held time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seconds = d.seconds*fade + held.Seconds()
	d.count = d.count*fade + 1
}

// within is in how long so many requests more will have ended, while so many are in flight;
// 0 if that is not known.
func (d *drain) within(ended, inFlight int64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count == 0 {
		return 0
	}
	mean := d.seconds / d.count
	return time.Duration(min(mean*float64(ended)/float64(max(1, inFlight)), refusal.MaxAfter.Seconds()) * float64(time.Second))
}
