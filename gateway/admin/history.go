package admin

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/traffic"
)

const (
	// step is the time between two samples, kept how long samples are.
	step, kept = 5 * time.Second, 15 * time.Minute
	maxSamples = int(kept / step)
	// lookEvery is how often a replica looks at what happened.
	lookEvery = time.Second
	// settling is how many samples a replica that has just started compares with the
	// others', which go further back.
	settling = 12
	// maxSampleBands bounds the bands of a sample, the highest first.
	maxSampleBands = 16
)

// history is the last samples of the fleet, the oldest first.
type history struct {
	mu      sync.Mutex
	samples []api.Sample
}

func (h *history) all() []api.Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.samples)
}

// add adds the latest sample. If the clock was set back, those of the time that is to come again
// are left out.
func (h *history) add(sample *api.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = slices.DeleteFunc(h.samples, func(s api.Sample) bool { return !s.At.Before(sample.At) })
	h.samples = append(h.samples, *sample)
	h.trim()
}

func (h *history) trim() {
	if n := len(h.samples); n > maxSamples {
		h.samples = append(h.samples[:0:0], h.samples[n-maxSamples:]...)
	}
}

// precede takes over another replica's samples of the time before this one's own.
func (h *history) precede(others []api.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(others) && (len(h.samples) == 0 || others[n].At.Before(h.samples[0].At.Add(-step/2))) {
		n++
	}
	if n > 0 && slices.IsSortedFunc(others[:n], func(a, b api.Sample) int { return a.At.Compare(b.At) }) {
		h.samples = append(slices.Clone(others[:n]), h.samples...)
		h.trim()
	}
}

func (s *Server) historyOf(_ context.Context, q *query) (*api.History, error) {
	all := s.history.all()
	if !q.since.IsZero() {
		all = slices.DeleteFunc(all, func(x api.Sample) bool { return !x.At.After(q.since) })
	}
	return &api.History{Replica: s.cfg.Replica, StepMS: step.Milliseconds(), Samples: append([]api.Sample{}, all...)}, nil
}

// watch looks at what happens until ctx ends.
func (s *Server) watch(ctx context.Context) {
	defer close(s.stopped)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var before *seen
	sampler := sampler{totals: make(map[string]totalsOf)}
	at := time.Now().Truncate(step)
	taken := 0
	for first := true; ; first = false {
		if view, err := s.cfg.Gateway.Controller().View(ctx); err == nil {
			view.Flows = nil
			after := &seen{view: view}
			for _, e := range s.cfg.Gateway.Endpoints().Endpoints() {
				after.endpoints = append(after.endpoints, e.Status())
			}
			if before != nil {
				for _, e := range happened(before, after) {
					s.Note(e.Kind, e.Severity, e.Subject, e.Text)
				}
			}
			before = after
		}
		if now := time.Now(); !now.Truncate(step).Equal(at) { // it may be set back
			at = now.Truncate(step)
			if parts, fleet, err := gather[statePart](ctx, s, false, question{Ask: askState}); err == nil {
				compared := len(sampler.totals) > 0
				sample := sampler.sample(at, time.Now(), parts, len(fleet.Missing) == 0)
				if compared { // else its rates are of nothing
					s.history.add(&sample)
				}
				s.had.add(now, parts)
			}
			if taken++; taken <= settling && s.cfg.Fleet != nil {
				if parts, _, err := gather[[]api.Sample](ctx, s, false, question{Ask: askHistory}); err == nil {
					for i := range parts {
						s.history.precede(parts[i].part[:min(len(parts[i].part), maxSamples)])
					}
				}
			}
		}
		if taken == 0 && !first {
			if parts, _, err := gather[statePart](ctx, s, false, question{Ask: askState, Unique: "met"}); err == nil {
				sampler.meet(time.Now(), parts)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sampler makes samples of what has been counted since the ones before.
type sampler struct {
	totals map[string]totalsOf // by replica
}

// totalsOf is what a run of a replica had counted at some time.
type totalsOf struct {
	started time.Time
	at      time.Time
	counts  traffic.Counts
}

// meet notes what replicas that it did not know have counted by now, so that the next sample has
// what they do from now on.
func (s *sampler) meet(now time.Time, parts []partOf[statePart]) {
	for i := range parts {
		if _, known := s.totals[parts[i].replica]; !known {
			s.totals[parts[i].replica] = parts[i].part.totals(now)
		}
	}
}

func (p *statePart) totals(now time.Time) totalsOf {
	t := totalsOf{started: p.Started, at: now}
	p.Counted.addTo(&t.counts)
	return t
}

// sample is the one that is told of as taken at a time, of what was counted until now.
func (s *sampler) sample(at, now time.Time, parts []partOf[statePart], whole bool) api.Sample {
	pool := mergePool(parts, whole)
	sample := api.Sample{At: at, Limit: pool.Limit, InFlight: pool.InFlight, Queued: pool.Queued, Replicas: len(parts)}
	for _, b := range pool.Bands[:min(len(pool.Bands), maxSampleBands)] {
		if sample.QueuedByBand == nil {
			sample.QueuedByBand = make(map[string]int64)
		}
		sample.QueuedByBand[strconv.Itoa(b.Priority)] = b.Queued
	}
	totals := make(map[string]totalsOf, len(parts))
	var waits traffic.Waits
	for i := range parts {
		is := parts[i].part.totals(now)
		totals[parts[i].replica] = is
		was, known := s.totals[parts[i].replica]
		if !known || !was.started.Equal(is.started) || !now.After(was.at) || is.counts.Dispatched < was.counts.Dispatched {
			continue // from the next one on
		}
		seconds := now.Sub(was.at).Seconds()
		sample.Requests += float64(is.counts.Dispatched-was.counts.Dispatched) / seconds
		sample.Tokens += float64(is.counts.Tokens-was.counts.Tokens) / seconds
		sample.Refused += float64(is.counts.Refused+is.counts.Evicted-was.counts.Refused-was.counts.Evicted) / seconds
		d := is.counts.Waits.Less(&was.counts.Waits)
		waits.Add(&d)
	}
	s.totals = totals
	if waits.Count() > 0 {
		p50, p99 := ms(waits.Quantile(0.5)), ms(waits.Quantile(0.99))
		sample.WaitP50MS, sample.WaitP99MS = &p50, &p99
	}
	return sample
}
