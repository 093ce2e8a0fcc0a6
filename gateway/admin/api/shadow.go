package api

import "time"

// Shadow is the answer of /v1/shadow: what flow control would have done with requests that
// went at once, while it was last only played beside what runs.
type Shadow struct {
	Fleet Fleet `json:"fleet"`
	Page
	// On says that it still is, at some replica. Since is when that began, Until when it
	// ended, or now; null if it never began.
	On    bool       `json:"on"`
	Since *time.Time `json:"since"`
	Until *time.Time `json:"until"`
	// All is over all flows; Flows are those that most requests came of first.
	All   ShadowFigures `json:"all"`
	Flows []ShadowFlow  `json:"flows"`
}

// ShadowFlow is what flow control would have done with the requests of a flow.
type ShadowFlow struct {
	ID       string `json:"id"`
	Priority int    `json:"priority"`
	ShadowFigures
}

// ShadowFigures are what was done with requests, and what would have been.
type ShadowFigures struct {
	// Requests went at once. Share is their part of the time for which slots were held.
	Requests int64   `json:"requests"`
	Share    float64 `json:"share"`
	// Dispatched of them flow control would have let go after a while, Refused at once and
	// Evicted while they waited; the rest waits as played. WouldShare is the part of the time
	// for which slots would have been held.
	Dispatched int64   `json:"would_dispatch"`
	Refused    int64   `json:"would_refuse"`
	Evicted    int64   `json:"would_evict"`
	WouldShare float64 `json:"would_share"`
	// The waits that those dispatched would have had; 0 if there are none.
	WaitMeanMS float64 `json:"would_wait_mean_ms"`
	WaitP50MS  float64 `json:"would_wait_p50_ms"`
	WaitP99MS  float64 `json:"would_wait_p99_ms"`
}
