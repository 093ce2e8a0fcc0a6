package stream

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// refusalLog tells an operator who was refused and why, without letting strangers fill
// the log.
type refusalLog struct {
	log   *zap.Logger
	count atomic.Uint64

	mu       sync.Mutex
	said     map[string]time.Time // by reason
	unlogged uint64
}

// maxReasons bounds what is remembered of reasons: strangers choose their words.
const maxReasons = 64

// note counts a refusal, and logs it unless its reason was logged a moment ago.
func (r *refusalLog) note(from string, err error) {
	r.count.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	now, reason := time.Now(), err.Error()
	if last, known := r.said[reason]; known && now.Sub(last) < refusals || !known && len(r.said) >= maxReasons && !r.forget(now) {
		r.unlogged++
		return
	}
	if r.said == nil {
		r.said = make(map[string]time.Time)
	}
	r.said[reason] = now
	r.log.Warn("refused a ticket stream", zap.String("from", from), zap.Uint64("unlogged", r.unlogged), zap.Error(err))
	r.unlogged = 0
}

// forget makes room for other reasons, and reports whether there is any.
func (r *refusalLog) forget(now time.Time) bool {
	for reason, at := range r.said {
		if now.Sub(at) >= refusals {
			delete(r.said, reason)
		}
	}
	return len(r.said) < maxReasons
}
