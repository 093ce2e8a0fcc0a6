package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/refusal"
)

// blindAfter is how long all readings of the model servers' metrics may be missing before
// requests are refused: a pool that cannot be seen is full until further notice, and
// waiting for it would be waiting for nothing.
const blindAfter = 2 * time.Second

// readings follows whether the model servers' metrics can be read, says so when that
// changes, and ends the waiting of requests while they cannot. It is safe for concurrent
// use.
type readings struct {
	log *zap.Logger

	mu    sync.Mutex
	state controller.Readings
	since time.Time
	said  controller.Readings
	blind context.Context //nolint:containedctx // ends when requests are refused
	end   context.CancelFunc
}

func newReadings(log *zap.Logger) *readings {
	r := &readings{log: log}
	r.blind, r.end = context.WithCancel(context.Background())
	return r
}

// look takes in the state at a time.
func (r *readings) look(now time.Time, state controller.Readings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state != r.state || r.since.IsZero() {
		r.state, r.since = state, now
	}
	if r.state == r.said || r.state != controller.ReadingsUsed && now.Sub(r.since) < blindAfter {
		return
	}
	if r.said == controller.ReadingsMissing {
		r.blind, r.end = context.WithCancel(context.Background())
	}
	switch r.said = r.state; r.said {
	case controller.ReadingsMissing:
		r.log.Error("no model server's metrics can be read: requests are refused; correct weir.metrics, or choose a concurrency-detector")
		r.end()
	case controller.ReadingsReplaced:
		r.log.Warn("no model server's metrics can be read, and no detector was asked for: requests in flight are limited as by a concurrency-detector; choose a detector, or correct weir.metrics")
	default:
		r.log.Info("the model servers' metrics can be read")
	}
}

// refusing returns a context that ends when requests are refused.
func (r *readings) refusing() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blind
}

// unreadable is the answer to a request for a pool that cannot be seen.
func unreadable() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "metrics_unreadable", Reason: refusal.Unreadable,
		Message: "no model server's metrics can be read, so it is not known whether they have room",
		After:   blindAfter,
	}
}
