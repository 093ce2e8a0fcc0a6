package config

import (
	"crypto/sha256"

	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// Plan is what a file and the flags ask for, with the defaults filled in.
type Plan struct {
	// File is the file with its defaults.
	File File
	// Bands are the bands that are configured by priority; Default and Negative hold for
	// all others.
	Bands             map[int]shard.BandConfig
	Default, Negative shard.BandConfig
	// Guaranteed is what priorities are guaranteed of the pool, from 0 to 1.
	Guaranteed map[int]float64
	// BandPolicy says how priorities share the rest; their weights are those of BandWeight.
	BandPolicy policies.BandPolicy
	weights    map[int]float64

	// AccessLog says which requests are logged.
	AccessLog  accesslog.Selection
	UsageLimit policies.UsageLimitPolicy
	Detector   policies.SaturationDetector
	// Engines are the names of metrics of endpoints that say which engine they run.
	Engines endpoints.Engines
	// Profile says which endpoint a request goes to.
	Profile endpoints.Profile
	// Eviction says what may be revoked; nil for nothing.
	Eviction *Eviction
	// Flows are the settings of flows, and Keys the flows by the SHA-256 of their
	// API keys; nil when the fairness header is trusted.
	Flows Flows
	Keys  map[[sha256.Size]byte]string

	// Pools are the plans of the pools: this one itself where there is one. Models says which
	// of several a request is for.
	Pools  []*Plan
	Models Models

	// found are the pools that are not the file's, by their names; see WithPools.
	found   map[string]FoundPool
	isFound bool
	from    *builder
	// start built the plan that the replica started by, and hold has another keep what is in
	// effect of it; nil where there is no other. See HoldTo.
	start *builder
	// before are the pools that were found of the plan in effect, until pools are found.
	before map[string]FoundPool
	hold   func(plan, start *Plan)
}

// Name names a setting for an error, as it was given: by its flag, or by the file's line
// and the field.
func (p *Plan) Name(path string) string {
	d := decoder{name: p.from.name, overlay: p.from.overlay}
	d.failAt(p.from.at(path), path, "")
	return d.problems[0].where()
}

// Files are the files that a running replica reads again when they change: the
// configuration, and the API keys.
func (p *Plan) Files() []string {
	var files []string
	for _, f := range []string{p.from.name, p.File.Weir.Identity.APIKeys} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
}

// WithKeys returns the plan with the API keys as their file says now. The error is
// Problems.
func (p *Plan) WithKeys() (*Plan, error) {
	b := *p.from
	b.problems, b.plan = nil, *p
	b.plan.Flows = newFlows(&b.plan.File.Weir)
	b.keys()
	if len(b.problems) > 0 {
		return nil, b.problems.sorted(b.name)
	}
	b.plan.Pools = nil
	for _, pool := range p.Pools {
		if pool == p {
			b.plan.Pools = append(b.plan.Pools, &b.plan)
			continue
		}
		pool, err := pool.WithKeys()
		if err != nil {
			return nil, err
		}
		b.plan.Pools = append(b.plan.Pools, pool)
	}
	return &b.plan, nil
}

// SetReplica sets the replica's id, for the process and all its pools.
func (p *Plan) SetReplica(id string) {
	p.File.Weir.Replica = id
	for _, pool := range p.Pools {
		pool.File.Weir.Replica = id
	}
}

// Several reports whether pools have names and settings of their own, though there may be one,
// or none yet.
func (p *Plan) Several() bool { return len(p.File.Weir.Pools) > 0 || p.File.Weir.InferencePools != "" }

// BandWeight is the weight that a priority is given, 1 where none is.
func (p *Plan) BandWeight(priority int) float64 { return weightOr1(p.weights[priority]) }

// Eviction is the policies of eviction.
type Eviction struct {
	Filter policies.EvictionFilter
	Order  policies.EvictionOrder
}
