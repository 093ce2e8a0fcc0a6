package api

import "time"

// UsageList is the answer of /v1/usage: what flows used, by the hour.
type UsageList struct {
	Fleet Fleet `json:"fleet"`
	// From and To are when the first hour that it is of begins, and the last one ends.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Page
	// Usage is by flow or group, by hour or by both; Sum is of the whole list.
	Usage []Usage `json:"usage"`
	Sum   Usage   `json:"sum"`
}

// Usage is what was used.
type Usage struct {
	// Flow is whose it is, Group the path of the group that it is in as the configuration is
	// now, and Hour when the hour began; absent where it is of all.
	Flow  string     `json:"flow,omitempty"`
	Group string     `json:"group,omitempty"`
	Hour  *time.Time `json:"hour,omitempty"`
	// Requests are those that went to the pool and have ended.
	Requests int64 `json:"requests"`
	// TokensIn, TokensCached and TokensOut are what model servers counted: prompts, the part
	// of them that was in a cache, and answers.
	TokensIn     int64 `json:"tokens_in"`
	TokensCached int64 `json:"tokens_cached"`
	TokensOut    int64 `json:"tokens_out"`
	// Charged is the tokens that were charged in the end: cached ones count for less, and
	// what no server counted by its size and its time.
	Charged int64 `json:"charged_tokens"`
	// SlotSeconds is for how long requests held slots of the pool.
	SlotSeconds float64 `json:"slot_seconds"`
}
