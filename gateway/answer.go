package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Headers of the answers that the gateway gives itself.
const (
	// DroppedReasonHeader says why flow control dropped the request, in the words of the
	// gateways that have it, too.
	DroppedReasonHeader = "x-llm-d-request-dropped-reason"
	// RefusedByHeader has the code of the error object, on every answer that is not a
	// model server's.
	RefusedByHeader = "x-weir-refused-by"
)

// statusClientGone is what logs and metrics show for a client that went away
// before its answer; nothing is sent.
const statusClientGone = 499

// refusal is an error answer by the gateway itself.
type refusal struct {
	status  int
	code    string
	reason  string // for DroppedReasonHeader; empty for none
	message string
	after   time.Duration // when to try again, where the status is one to say so with
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
	h.Set(RefusedByHeader, r.code)
	if r.reason != "" {
		h.Set(DroppedReasonHeader, r.reason)
	}
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter(r.after)))
	}
	return h, body
}
