package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// refuse is the answer to a request of a flow that flow control did not dispatch after so long,
// for the reason given: one of the controller's errors.
func (p *Pool) refuse(flow policies.FlowKey, waited time.Duration, why error) *refusal.Refusal {
	var none *controller.Refusal
	switch {
	case errors.As(why, &none):
		return p.noRoom(flow, none)
	case errors.Is(why, controller.ErrTTLExpired):
		return &refusal.Refusal{
			Status: http.StatusTooManyRequests, Code: "queue_timeout", Reason: refusal.TTL,
			Message: fmt.Sprintf("the request waited %s for capacity, as long as it may; try again later", rounded(waited)),
			After:   p.drained(),
		}
	case errors.Is(why, controller.ErrNoEndpoints):
		return NoEndpoints()
	case errors.Is(why, controller.ErrContextCancelled):
		return ClientGone()
	case errors.Is(why, controller.ErrEvicted):
		return evictedByOperator()
	default:
		return &refusal.Refusal{
			Status: http.StatusServiceUnavailable, Code: "shutting_down", Reason: refusal.Ending,
			Message: "this replica is shutting down; try again",
		}
	}
}

// noRoom is the answer to a request that there is no room for.
func (p *Pool) noRoom(flow policies.FlowKey, why *controller.Refusal) *refusal.Refusal {
	switch why.Cause {
	case shard.FlowInFlight, shard.FlowTokens:
		return p.overLimit(flow, why)
	case shard.BandFull:
		return &refusal.Refusal{
			Status: http.StatusTooManyRequests, Code: "band_full", Reason: refusal.Saturated, After: p.nextEnd(),
			Message: fmt.Sprintf("the queue of priority %d is full, and this tenant's requests are the largest part of it; try again later", flow.Priority),
		}
	case shard.BufferShare:
		return &refusal.Refusal{
			Status: http.StatusTooManyRequests, Code: "queue_share", Reason: refusal.Saturated, After: p.nextEnd(),
			Message: "the queue is full, and the request had to make room for a tenant with fewer requests in it; try again later",
		}
	case shard.TooLarge:
		return &refusal.Refusal{
			Status: http.StatusRequestEntityTooLarge, Code: "larger_than_queue", Reason: refusal.Saturated,
			Message: fmt.Sprintf("the request's body is larger than all that may wait at priority %d", flow.Priority),
		}
	default:
		return &refusal.Refusal{
			Status: http.StatusTooManyRequests, Code: "queue_full", Reason: refusal.Saturated, After: p.nextEnd(),
			Message: "the queue of all priorities is full, and this tenant's requests are the largest part of it; try again later",
		}
	}
}

// overLimit is the answer to a request whose flow is at a limit of its own.
func (p *Pool) overLimit(flow policies.FlowKey, why *controller.Refusal) *refusal.Refusal {
	if why.Cause == shard.FlowTokens {
		return &refusal.Refusal{
			Status: http.StatusTooManyRequests, Code: "flow_token_limit", Reason: refusal.FlowLimit, After: why.After,
			Message: fmt.Sprintf("this tenant has spent its own limit of %s a minute; %s", counted(int64(why.Limit.TokensPerMinute), "token"), roomIn(why.After)),
		}
	}
	after := max(why.After, p.flows.NextEnd(flow, max(1, why.Limit.MaxInFlight)))
	return &refusal.Refusal{
		Status: http.StatusTooManyRequests, Code: "flow_in_flight_limit", Reason: refusal.FlowLimit, After: after,
		Message: fmt.Sprintf("this tenant is at its own limit of %s in flight; %s", counted(why.Limit.MaxInFlight, "request"), roomIn(after)),
	}
}

// evicted is the answer to a request that was revoked before its answer began.
func (p *Pool) evicted() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusTooManyRequests, Code: "evicted", Reason: refusal.Evicted,
		Message: "the request was ended to make room for one of higher priority; try again later",
		After:   p.drained(),
	}
}

// evictedByOperator is the answer to a request that an operator ended before its answer began.
func evictedByOperator() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "evicted_by_operator", Reason: refusal.Evicted,
		Message: "an operator of the gateway ended the request",
	}
}

// poolGivenUp is the answer to a request that had not ended when its pool was given up.
func poolGivenUp() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "shutting_down", Reason: refusal.Ending,
		Message: "this replica gives up the request's pool; try again",
	}
}

// NoEndpoints is the answer to a request that no model server can be found for.
func NoEndpoints() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "no_endpoints", Reason: refusal.NoEndpoints,
		Message: "the pool has no model servers that can be reached",
	}
}

// UpstreamFailed is the answer to a request whose server gave none.
func UpstreamFailed() *refusal.Refusal {
	return &refusal.Refusal{Status: http.StatusBadGateway, Code: "upstream_failed", Message: "the model server failed before it answered"}
}

// ClientGone is the answer to a request whose client went away; it is not sent.
func ClientGone() *refusal.Refusal {
	return &refusal.Refusal{
		Status: refusal.StatusClientGone, Code: "client_gone", Reason: refusal.Gone,
		Message: "the client went away while the request waited",
	}
}

// drained is in how long what waits in the fleet now will have been served.
func (p *Pool) drained() time.Duration {
	inFlight, waiting := p.cfg.Controller.Load()
	return p.drain.within(waiting+1, inFlight)
}

// nextEnd is in how long the fleet serves one more request.
func (p *Pool) nextEnd() time.Duration {
	inFlight, _ := p.cfg.Controller.Load()
	return p.drain.within(1, inFlight)
}

// counted is a number of things; without one where the limit is another replica's, which
// this one does not know.
func counted(n int64, thing string) string {
	switch n {
	case 0:
		return thing + "s"
	case 1:
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func roomIn(d time.Duration) string {
	if d <= 0 {
		return "try again when one of its requests has ended"
	}
	return "there is room in about " + rounded(d)
}

// rounded is a time for people to read.
func rounded(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func unknownProfile(c *endpoints.Choice) *refusal.Refusal {
	return refusal.BadRequest("unknown_profile", fmt.Sprintf("the header %s must name one of the pool's scheduling profiles", c.Header))
}
