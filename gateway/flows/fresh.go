package flows

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// Fresh follows how many requests come under ids that were never seen, for a warning. It is
// safe for concurrent use.
type Fresh struct {
	mu             sync.Mutex
	since          time.Time // when the count began
	requests, news int64
	warned         time.Time
}

// It is warned of if, in freshWindow, at least freshLeast requests came under fresh ids, and
// these are at least one in freshPart of all; once in freshQuiet.
const (
	freshWindow = 10 * time.Second
	freshLeast  = 100
	freshPart   = 5
	freshQuiet  = 10 * time.Minute
)

// Note counts a request, the first of its flow or not, and warns where many ids are made up
// and nothing is done about it.
func (f *Fresh) Note(log *zap.Logger, rules *Rules, first bool) {
	if requests, news, many := f.count(time.Now(), first); many && rules.Newcomers.For == 0 {
		log.Warn("many requests come under ids that were never seen: each such id gets the share of a tenant; "+
			"identify clients by weir.identity, or set weir.newcomers to have those that are not known share one",
			zap.Int64("requests", requests), zap.Int64("fresh_ids", news), zap.Duration("in", freshWindow))
	}
}

// count counts a request, and says at the end of a window whether it is to be warned of.
func (f *Fresh) count(now time.Time, first bool) (requests, news int64, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() {
		f.since = now
	}
	f.requests++
	if first {
		f.news++
	}
	if now.Sub(f.since) < freshWindow {
		return 0, 0, false
	}
	requests, news = f.requests, f.news
	many = news >= freshLeast && news*freshPart >= requests && (f.warned.IsZero() || now.Sub(f.warned) >= freshQuiet)
	if many {
		f.warned = now
	}
	f.since, f.requests, f.news = now, 0, 0
	return requests, news, many
}
