package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/weirflow/weir/controller"
)

// DroppedReasonHeader says on an error answer why flow control dropped the
// request.
const DroppedReasonHeader = "x-llm-d-request-dropped-reason"

// statusClientGone is what logs and metrics show for a client that went away
// before its answer; nothing is sent.
const statusClientGone = 499

// retryAfter is how long a client is asked to wait before it tries again, in seconds:
// about what a saturated pool takes to get through a reasonable queue.
const retryAfter = 1

// refusal is an error answer by the gateway itself.
type refusal struct {
	status  int
	code    string
	reason  string // for DroppedReasonHeader; empty for none
	message string
}

// Error implements error.
func (r *refusal) Error() string { return r.message }

func badRequest(code, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, message: message}
}

// write sends the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	headers, body := r.answer()
	for name, values := range headers {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(body) // fails only if the client is gone
}

// answer is the refusal as an OpenAI error object, and its headers.
func (r *refusal) answer() (http.Header, []byte) {
	typ := "invalid_request_error"
	switch {
	case r.status == http.StatusTooManyRequests:
		typ = "rate_limit_error"
	case r.status >= 500:
		typ = "server_error"
	}
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"message": r.message, "type": typ, "param": nil, "code": r.code,
	}})
	if err != nil {
		panic(err) // strings always marshal
	}
	h := make(http.Header)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.reason != "" {
		h.Set(DroppedReasonHeader, r.reason)
	}
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return h, body
}

// evicted is the answer to a request that was revoked before its answer began.
func evicted() *refusal {
	return &refusal{
		http.StatusTooManyRequests, "evicted", "evicted",
		"the request was ended to make room for one of higher priority; try again later",
	}
}

// refusalOf is the answer to a request that flow control did not dispatch, for the reason
// given: one of the controller's errors.
func refusalOf(why error) *refusal {
	switch {
	case errors.Is(why, controller.ErrFlowLimit):
		return &refusal{
			http.StatusTooManyRequests, "flow_limit", "rejected-flow-limit",
			"this tenant is at its own limit of requests or tokens; try again when one of its requests has ended",
		}
	case errors.Is(why, controller.ErrQueueFull):
		return &refusal{
			http.StatusTooManyRequests, "queue_full", "rejected-saturated",
			"the queue is full; try again later",
		}
	case errors.Is(why, controller.ErrTTLExpired):
		return &refusal{
			http.StatusTooManyRequests, "queue_timeout", "rejected-ttl-expired",
			"the request waited too long for capacity; try again later",
		}
	case errors.Is(why, controller.ErrNoEndpoints):
		return &refusal{
			http.StatusServiceUnavailable, "no_endpoints", "rejected-no-endpoints",
			"the pool has no model servers that can be reached",
		}
	case errors.Is(why, controller.ErrContextCancelled):
		return &refusal{
			statusClientGone, "client_gone", "rejected-context-cancelled",
			"the client went away while the request waited",
		}
	default:
		return &refusal{
			http.StatusServiceUnavailable, "shutting_down", "rejected-shutting-down",
			"this replica is shutting down; try again",
		}
	}
}
