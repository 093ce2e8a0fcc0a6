package fairness

import "time"

// Tenant is one tenant's traffic.
type Tenant struct {
	ID     string
	Weight float64
	// Input and Output are its requests' lengths in tokens.
	Input, Output int64
	// Clients keep a request going each, or Rate requests come a second, at random,
	// whether others were answered or not.
	Clients int
	Rate    float64
	// From and To bound when it is there, as parts of the run; On and Off are its
	// bursts, from its beginning.
	From, To float64
	On, Off  time.Duration
	// Light marks the tenant whose waits are looked at; it wants less than its share.
	Light bool
	// Spread tenants come in by every replica, others by one of their own.
	Spread bool
}

// Scenario is an arrival pattern.
type Scenario struct {
	Name    string
	About   string
	Tenants []Tenant
	// Seed draws when requests come at random, and how long each answer takes.
	Seed uint64
}

// slots is how many requests the pool takes, step how long a token of an answer
// takes. The pool gives some 8,000 tokens of answers a second.
const (
	slots = 16
	step  = 2 * time.Millisecond
)

// Scenarios are the patterns.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "lengths", About: "two overloaded tenants with different request lengths", Tenants: []Tenant{
			{ID: "short", Weight: 1, Input: 20, Output: 15, Clients: 40, To: 1, Spread: true},
			{ID: "long", Weight: 1, Input: 100, Output: 60, Clients: 40, To: 1},
		}},
		{Name: "underuse", About: "one tenant overloaded, one under its share", Tenants: []Tenant{
			{ID: "heavy", Weight: 1, Input: 40, Output: 30, Clients: 60, To: 1, Spread: true},
			{ID: "light", Weight: 1, Input: 40, Output: 30, Rate: 60, To: 1, Light: true},
		}},
		{Name: "bursts", About: "a steady tenant, and one that is on for a second and off for a second", Tenants: []Tenant{
			{ID: "steady", Weight: 1, Input: 40, Output: 30, Clients: 40, To: 1},
			{ID: "bursty", Weight: 1, Input: 40, Output: 30, Clients: 40, To: 1, On: time.Second, Off: time.Second, Spread: true},
		}},
		{Name: "weights", About: "three overloaded tenants of weights 1, 2 and 4", Tenants: []Tenant{
			{ID: "one", Weight: 1, Input: 40, Output: 30, Clients: 40, To: 1, Spread: true},
			{ID: "two", Weight: 2, Input: 40, Output: 30, Clients: 40, To: 1},
			{ID: "four", Weight: 4, Input: 40, Output: 30, Clients: 40, To: 1},
		}},
		{Name: "newcomer", About: "three old tenants, and one that comes at half-time", Tenants: []Tenant{
			{ID: "old-1", Weight: 1, Input: 40, Output: 30, Clients: 30, To: 1, Spread: true},
			{ID: "old-2", Weight: 1, Input: 40, Output: 30, Clients: 30, To: 1},
			{ID: "old-3", Weight: 1, Input: 20, Output: 15, Clients: 30, To: 1},
			{ID: "newcomer", Weight: 1, Input: 40, Output: 30, Clients: 30, From: 0.5, To: 1},
		}},
		{Name: "flood", About: "a flood of 100 times its share, beside a light tenant", Tenants: []Tenant{
			{ID: "flood", Weight: 1, Input: 40, Output: 30, Clients: 1600, To: 1, Spread: true},
			{ID: "light", Weight: 1, Input: 40, Output: 30, Rate: 20, To: 1, Light: true},
		}},
	}
}
