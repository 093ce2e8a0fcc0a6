// Package headers is what the headers of a request say to the gateway, and which of them go
// no further.
package headers

import (
	"fmt"
	"iter"
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
	Flow      = [...]string{"X-Llm-D-Inference-Fairness-Id", "X-Gateway-Inference-Fairness-Id"}
	Objective = [...]string{"X-Llm-D-Inference-Objective", "X-Gateway-Inference-Objective"}
	Rewrite   = [...]string{"X-Llm-D-Model-Name-Rewrite", "X-Gateway-Model-Name-Rewrite"}
	ttft      = [...]string{"X-Llm-D-Slo-Ttft-Ms", "X-Slo-Ttft-Ms"}
)

// ttl says how long a request may wait, as Go writes times. It has no alias.
const ttl = "X-Llm-D-Inference-Ttl"

// Control are all that are addressed to flow control.
func Control() []string {
	return slices.Concat(Flow[:], Objective[:], Rewrite[:], ttft[:], []string{ttl})
}

// Bounds on the headers of a request, by whichever door it comes.
const (
	MaxCount        = 200      // lines
	DefaultMaxBytes = 16 << 10 // of names and values, unless configured
)

// lineBytes is about what a line takes beside its text, in each of the tables that hold it:
// the client's and, in flight, the server's.
const lineBytes = 256

// Memory refuses more lines of headers than a request may have, or more bytes than most, and returns
// about how many bytes of memory they take, which is many times their text where names are
// short. The lines are names and values, as [Lines] has them.
func Memory(all iter.Seq2[string, string], most int) (int64, *refusal.Refusal) {
	lines, size := 0, 0
	for name, value := range all {
		lines++
		size += len(name) + len(value)
	}
	message := ""
	switch {
	case lines > MaxCount:
		message = fmt.Sprintf("the request has %d headers, %d are allowed", lines, MaxCount)
	case size > most:
		message = fmt.Sprintf("the request's headers are larger than %d bytes", most)
	default:
		return int64(lines*lineBytes + size), nil
	}
	return 0, &refusal.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large", Message: message}
}

// Lines are the names and values of a table of headers, in no order.
func Lines(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, values := range h {
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}
}

// MaxFlow bounds a flow's id that comes in a header, in bytes.
const MaxFlow = 256

// FlowOf reads the flow's id; empty for none.
func FlowOf(h http.Header) (string, *refusal.Refusal) {
	id := first(h, Flow[:])
	if len(id) > MaxFlow {
		return "", refusal.BadRequest("bad_flow_id", fmt.Sprintf("the header %s is longer than %d bytes", Flow[0], MaxFlow))
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return "", refusal.BadRequest("bad_flow_id", fmt.Sprintf("the header %s may hold printable ASCII characters only, and no spaces", Flow[0]))
		}
	}
	return id, nil
}

// ObjectiveOf reads the objective that the request names; empty for none.
func ObjectiveOf(h http.Header) string { return first(h, Objective[:]) }

// RewriteOf reads the model to ask for instead of the one in the body; empty for none.
func RewriteOf(h http.Header) (string, *refusal.Refusal) {
	model := first(h, Rewrite[:])
	if len(model) > modelapi.MaxName || !utf8.ValidString(model) {
		return "", refusal.BadRequest("bad_model_rewrite", fmt.Sprintf("the header %s must be a model's name, of up to %d bytes of UTF-8", Rewrite[0], modelapi.MaxName))
	}
	return model, nil
}

// TargetTTFT reads how soon the request's first token should come; 0 if it does not say,
// or not in a valid form.
func TargetTTFT(h http.Header) time.Duration {
	ms, err := strconv.ParseFloat(first(h, ttft[:]), 64)
	if err != nil || !(ms > 0 && ms <= 1e9) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// TTL reads how long the request may wait at most, which only shortens what is
// configured; 0 if it does not say, or not in a valid form.
func TTL(h http.Header) time.Duration {
	d, err := time.ParseDuration(h.Get(ttl))
	if err != nil {
		return 0
	}
	return max(0, d)
}

func first(h http.Header, names []string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// fromGateways are those that gateways set, and whose word servers may take; from outside
// they are forged. X-Envoy-* is another.
var fromGateways = []string{
	"X-Gateway-Destination-Endpoint", "X-Gateway-Destination-Endpoint-Subset", "X-Gateway-Destination-Endpoint-Served", "X-Real-Ip", refusal.ReasonHeader,
}

// Stages name, to the endpoint that answers, those of a stage before: as llm-d's sidecars
// read them, the newer name first. From outside they are forged.
var Stages = map[policies.Stage][]string{
	policies.Prefill: {"X-Llm-D-Prefiller-Host-Port", "X-Prefiller-Host-Port"},
	policies.Encode:  {"X-Llm-D-Encoder-Hosts-Ports", "X-Encoder-Hosts-Ports"},
}

// Rank names, to a sidecar that takes requests for all data-parallel ranks of a host, the one
// that was chosen. From outside it is forged.
const Rank = "X-Data-Parallel-Host-Port"

// Routing are all that only Weir may say of where a request goes.
func Routing() []string {
	return slices.Concat(Stages[policies.Prefill], Stages[policies.Encode], []string{Rank})
}

// Strip removes what is addressed to flow control and not to the
// model server, and what only a gateway may say.
func Strip(h http.Header) {
	for _, name := range Control() {
		h.Del(name)
	}
	for _, name := range fromGateways {
		h.Del(name)
	}
	for _, name := range Routing() {
		h.Del(name)
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Envoy-") {
			delete(h, name)
		}
	}
}

// Encoding is the header by which a client asks for a compressed answer, and Plain the value that
// servers get instead: what an answer cost is read in it.
const (
	Encoding = "Accept-Encoding"
	Plain    = "identity"
)

// Keys may carry a key: as OpenAI's clients send it, and as Anthropic's do.
var Keys = []string{"Authorization", "X-Api-Key"}

// KeyOf is the API key that a request carries, or empty.
func KeyOf(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return h.Get("X-Api-Key")
}
