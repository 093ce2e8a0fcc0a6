// Package refusal is the answers that the gateway gives itself: each has a code, a message
// for people and, where flow control dropped the request, a reason that gateways agree on.
package refusal

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Headers of the answers that the gateway gives itself.
const (
	// ReasonHeader says why flow control dropped the request, in the words of the
	// gateways that have it, too.
	ReasonHeader = "x-llm-d-request-dropped-reason"
	// ByHeader has the code of the error object, on every answer that is not a
	// model server's.
	ByHeader = "x-weir-refused-by"
)

// Reason is why flow control dropped a request, for ReasonHeader.
type Reason string

// The reasons there are.
const (
	Saturated         Reason = "rejected-saturated"
	FlowLimit         Reason = "rejected-flow-limit"
	TTL               Reason = "rejected-ttl-expired"
	NoEndpoints       Reason = "rejected-no-endpoints"
	Gone              Reason = "rejected-context-cancelled"
	Ending            Reason = "rejected-shutting-down"
	Memory            Reason = "rejected-memory"
	Unreadable        Reason = "rejected-metrics-unreadable"
	PickerUnavailable Reason = "rejected-picker-unavailable"
	Evicted           Reason = "evicted"
)

// StatusClientGone is what logs and metrics show for a client that went away
// before its answer; nothing is sent.
const StatusClientGone = 499

// Refusal is an error answer by the gateway itself.
type Refusal struct {
	Status  int
	Code    string
	Reason  Reason // empty where it was not flow control
	Message string
	After   time.Duration // when to try again, where the status is one to say so with
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// BadRequest refuses a request for what is wrong with it.
func BadRequest(code, message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: code, Message: message}
}

// Write sends the refusal.
func (r *Refusal) Write(w http.ResponseWriter) {
	headers, body := r.Answer()
	for name, values := range headers {
		w.Header()[name] = values
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(body) // fails only if the client is gone
}

// Answer is the refusal as an OpenAI error object, and its headers.
func (r *Refusal) Answer() (http.Header, []byte) {
	typ := "invalid_request_error"
	switch {
	case r.Status == http.StatusTooManyRequests:
		typ = "rate_limit_error"
	case r.Status >= 500:
		typ = "server_error"
	}
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"message": r.Message, "type": typ, "param": nil, "code": r.Code,
	}})
	if err != nil {
		panic(err) // strings always marshal
	}
	h := make(http.Header)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set(ByHeader, r.Code)
	if r.Reason != "" {
		h.Set(ReasonHeader, string(r.Reason))
	}
	if r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter(r.After)))
	}
	return h, body
}

// Bounds on what a client is asked to wait before it tries again. The header has whole
// seconds.
const (
	minAfter = time.Second
	MaxAfter = time.Hour
)

// retryAfter is the value of the header Retry-After.
func retryAfter(d time.Duration) int {
	return int(math.Ceil(min(max(d, minAfter), MaxAfter).Seconds()))
}
