package flows

import "time"

// Timeouts bound how long a request may hold its slots. A field of 0 takes its default.
type Timeouts struct {
	// Client is how long a client may take nothing of what is there for it; 30 s by
	// default. By external processing it is Envoy's to bound.
	Client time.Duration
	// FirstByte is how long a model server may take until its answer begins; 10 minutes
	// by default.
	FirstByte time.Duration
	// BetweenBytes is how long it may pause within its answer; 2 minutes by default.
	BetweenBytes time.Duration
	// Request is how long a request may take in all once it was dispatched; 1 hour by
	// default.
	Request time.Duration
}

// withDefaults fills in what is not set.
func (t Timeouts) withDefaults() Timeouts {
	defaults := DefaultTimeouts()
	for _, f := range []struct{ to, from *time.Duration }{
		{&t.Client, &defaults.Client},
		{&t.FirstByte, &defaults.FirstByte},
		{&t.BetweenBytes, &defaults.BetweenBytes},
		{&t.Request, &defaults.Request},
	} {
		if *f.to <= 0 {
			*f.to = *f.from
		}
	}
	return t
}

// DefaultTimeouts are those of requests of which nothing else is said.
func DefaultTimeouts() Timeouts {
	return Timeouts{Client: 30 * time.Second, FirstByte: 10 * time.Minute, BetweenBytes: 2 * time.Minute, Request: time.Hour}
}

// TimeoutsOf are those of a flow's request that names the objective, which may be empty.
func (r *Rules) TimeoutsOf(flow, objective string) Timeouts {
	if r.Timeouts == nil {
		return DefaultTimeouts()
	}
	return r.Timeouts(flow, objective).withDefaults()
}
