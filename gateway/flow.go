package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies"
)

// Request headers, each with its older alias.
var (
	flowHeaders      = [...]string{"X-Llm-D-Inference-Fairness-Id", "X-Gateway-Inference-Fairness-Id"}
	objectiveHeaders = [...]string{"X-Llm-D-Inference-Objective", "X-Gateway-Inference-Objective"}
	rewriteHeaders   = [...]string{"X-Llm-D-Model-Name-Rewrite", "X-Gateway-Model-Name-Rewrite"}
	ttftHeaders      = [...]string{"X-Llm-D-Slo-Ttft-Ms", "X-Slo-Ttft-Ms"}
)

// ttlHeader says how long a request may wait, as Go writes times. It has no alias.
const ttlHeader = "X-Llm-D-Inference-Ttl"

// controlHeaders are all that are addressed to flow control.
func controlHeaders() []string {
	return slices.Concat(flowHeaders[:], objectiveHeaders[:], rewriteHeaders[:], ttftHeaders[:], []string{ttlHeader})
}

// DefaultFlow is the flow of requests that name none.
const DefaultFlow = "default-flow"

// maxFlowID bounds a flow's id that comes in a header, in bytes.
const maxFlowID = 256

// flowOf reads the flow's id from the header.
func flowOf(h http.Header) (string, *refusal.Refusal) {
	id := first(h, flowHeaders[:])
	if id == "" {
		return DefaultFlow, nil
	}
	if len(id) > maxFlowID {
		return "", refusal.BadRequest("bad_flow_id", fmt.Sprintf("the header %s is longer than %d bytes", flowHeaders[0], maxFlowID))
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return "", refusal.BadRequest("bad_flow_id", fmt.Sprintf("the header %s may hold printable ASCII characters only, and no spaces", flowHeaders[0]))
		}
	}
	return id, nil
}

// rewriteOf reads the model to ask for instead of the one in the body; empty for none.
func rewriteOf(h http.Header) (string, *refusal.Refusal) {
	model := first(h, rewriteHeaders[:])
	if len(model) > modelapi.MaxName || !utf8.ValidString(model) {
		return "", badRewrite()
	}
	return model, nil
}

func badRewrite() *refusal.Refusal {
	return refusal.BadRequest("bad_model_rewrite", fmt.Sprintf("the header %s must be a model's name, of up to %d bytes of UTF-8", rewriteHeaders[0], modelapi.MaxName))
}

// targetTTFT reads how soon the request's first token should come; 0 if it does not say,
// or not in a valid form.
func targetTTFT(h http.Header) time.Duration {
	ms, err := strconv.ParseFloat(first(h, ttftHeaders[:]), 64)
	if err != nil || !(ms > 0 && ms <= 1e9) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// shorterTTL reads how long the request may wait at most, which only shortens what is
// configured; 0 if it does not say, or not in a valid form.
func shorterTTL(h http.Header) time.Duration {
	ttl, err := time.ParseDuration(h.Get(ttlHeader))
	if err != nil {
		return 0
	}
	return max(0, ttl)
}

func first(h http.Header, names []string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// gatewayHeaders are those that gateways set, and whose word servers may take; from outside
// they are forged. X-Envoy-* is another.
var gatewayHeaders = []string{
	"X-Gateway-Destination-Endpoint", "X-Gateway-Destination-Endpoint-Subset", "X-Gateway-Destination-Endpoint-Served", "X-Real-Ip", refusal.ReasonHeader,
}

// stageHeaders name, to the endpoint that answers, those of a stage before: as llm-d's sidecars
// read them, the newer name first. From outside they are forged.
var stageHeaders = map[policies.Stage][]string{
	policies.Prefill: {"X-Llm-D-Prefiller-Host-Port", "X-Prefiller-Host-Port"},
	policies.Encode:  {"X-Llm-D-Encoder-Hosts-Ports", "X-Encoder-Hosts-Ports"},
}

// tellStages calls set with the headers that name the endpoints which the request goes through.
func (s *session) tellStages(set func(name, value string)) {
	for i := range s.staged {
		for _, name := range stageHeaders[s.staged[i].Stage] {
			set(name, s.staged[i].Addresses())
		}
	}
}

// stripControlHeaders removes what is addressed to flow control and not to the
// model server, and what only a gateway may say.
func stripControlHeaders(h http.Header) {
	for _, name := range controlHeaders() {
		h.Del(name)
	}
	for _, name := range gatewayHeaders {
		h.Del(name)
	}
	for _, names := range stageHeaders {
		for _, name := range names {
			h.Del(name)
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Envoy-") {
			delete(h, name)
		}
	}
}
