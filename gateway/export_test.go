package gateway

import (
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/flows"
)

// SessionBytes is what a request that waits takes of the budget beside its headers and its body.
const SessionBytes = sessionBytes

// SetFlows replaces what the pool knows of flows, before it has requests.
func (p *Pool) SetFlows(t *flows.Table) { p.flows = t }

// Learn has the pool learn what a request cost that held its slot so long.
func (p *Pool) Learn(u controller.Usage, held time.Duration) { p.pace.learn(u, held) }

// Bounds on what clients make up.
const (
	MaxRequestID = maxRequestID
	MaxTold      = maxTold
)
