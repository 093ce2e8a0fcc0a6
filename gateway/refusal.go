package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/shard"
)

// The words of DroppedReasonHeader.
const (
	reasonSaturated   = "rejected-saturated"
	reasonFlowLimit   = "rejected-flow-limit"
	reasonTTL         = "rejected-ttl-expired"
	reasonNoEndpoints = "rejected-no-endpoints"
	reasonGone        = "rejected-context-cancelled"
	reasonEnding      = "rejected-shutting-down"
	reasonMemory      = "rejected-memory"
	reasonUnreadable  = "rejected-metrics-unreadable"
	reasonEvicted     = "evicted"
)

// refuse is the answer to a session's request that flow control did not dispatch, for the
// reason given: one of the controller's errors.
func (s *session) refuse(why error) *refusal {
	var none *controller.Refusal
	switch {
	case errors.As(why, &none):
		return s.noRoom(none)
	case errors.Is(why, controller.ErrTTLExpired):
		return &refusal{
			status: http.StatusTooManyRequests, code: "queue_timeout", reason: reasonTTL,
			message: fmt.Sprintf("the request waited %s for capacity, as long as it may; try again later", rounded(s.record.waited)),
			after:   s.pool.drained(),
		}
	case errors.Is(why, controller.ErrNoEndpoints):
		return noEndpoints()
	case errors.Is(why, controller.ErrContextCancelled):
		return clientGone()
	case errors.Is(why, controller.ErrEvicted):
		return evictedByOperator()
	default:
		return &refusal{
			status: http.StatusServiceUnavailable, code: "shutting_down", reason: reasonEnding,
			message: "this replica is shutting down; try again",
		}
	}
}

// noRoom is the answer to a request that there is no room for.
func (s *session) noRoom(why *controller.Refusal) *refusal {
	priority := s.request.Flow.Priority
	switch why.Cause {
	case shard.FlowInFlight, shard.FlowTokens:
		return s.overLimit(why)
	case shard.BandFull:
		return &refusal{
			status: http.StatusTooManyRequests, code: "band_full", reason: reasonSaturated, after: s.pool.nextEnd(),
			message: fmt.Sprintf("the queue of priority %d is full, and this tenant's requests are the largest part of it; try again later", priority),
		}
	case shard.BufferShare:
		return &refusal{
			status: http.StatusTooManyRequests, code: "queue_share", reason: reasonSaturated, after: s.pool.nextEnd(),
			message: "the queue is full, and the request had to make room for a tenant with fewer requests in it; try again later",
		}
	case shard.TooLarge:
		return &refusal{
			status: http.StatusRequestEntityTooLarge, code: "larger_than_queue", reason: reasonSaturated,
			message: fmt.Sprintf("the request's body is larger than all that may wait at priority %d", priority),
		}
	default:
		return &refusal{
			status: http.StatusTooManyRequests, code: "queue_full", reason: reasonSaturated, after: s.pool.nextEnd(),
			message: "the queue of all priorities is full, and this tenant's requests are the largest part of it; try again later",
		}
	}
}

// overLimit is the answer to a request whose flow is at a limit of its own.
func (s *session) overLimit(why *controller.Refusal) *refusal {
	if why.Cause == shard.FlowTokens {
		return &refusal{
			status: http.StatusTooManyRequests, code: "flow_token_limit", reason: reasonFlowLimit, after: why.After,
			message: fmt.Sprintf("this tenant has spent its own limit of %s a minute; %s", counted(int64(why.Limit.TokensPerMinute), "token"), roomIn(why.After)),
		}
	}
	after := max(why.After, s.pool.flows.next(s.request.Flow, max(1, why.Limit.MaxInFlight)))
	return &refusal{
		status: http.StatusTooManyRequests, code: "flow_in_flight_limit", reason: reasonFlowLimit, after: after,
		message: fmt.Sprintf("this tenant is at its own limit of %s in flight; %s", counted(why.Limit.MaxInFlight, "request"), roomIn(after)),
	}
}

// evicted is the answer to a request that was revoked before its answer began.
func (s *session) evicted() *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: "evicted", reason: reasonEvicted,
		message: "the request was ended to make room for one of higher priority; try again later",
		after:   s.pool.drained(),
	}
}

// evictedByOperator is the answer to a request that an operator ended before its answer began.
func evictedByOperator() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "evicted_by_operator", reason: reasonEvicted,
		message: "an operator of the gateway ended the request",
	}
}

// poolGivenUp is the answer to a request that had not ended when its pool was given up.
func poolGivenUp() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "shutting_down", reason: reasonEnding,
		message: "this replica gives up the request's pool; try again",
	}
}

func noEndpoints() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "no_endpoints", reason: reasonNoEndpoints,
		message: "the pool has no model servers that can be reached",
	}
}

func upstreamFailed() *refusal {
	return &refusal{status: http.StatusBadGateway, code: "upstream_failed", message: "the model server failed before it answered"}
}

func clientGone() *refusal {
	return &refusal{
		status: statusClientGone, code: "client_gone", reason: reasonGone,
		message: "the client went away while the request waited",
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

func unknownProfile(c *endpoints.Choice) *refusal {
	return badRequest("unknown_profile", fmt.Sprintf("the header %s must name one of the pool's scheduling profiles", c.Header))
}
