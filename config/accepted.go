package config

import (
	"slices"
	"strconv"
	"strings"
)

// The gates that a file of today's EPPs may name. None changes what Weir does: flow
// control is the product, and every replica is populated.
var gates = []string{"flowControl", "haPopulateNonLeaderDatastore"}

// olderGates are those of earlier releases, for what is always there today.
var olderGates = []string{"dataLayer", "prepareDataPlugins", "enableLegacyMetrics"}

// featureGates checks the gates: a misspelt one would be passed over in silence.
func (b *builder) featureGates() {
	if len(b.file.FeatureGates) > 0 {
		b.warn("featureGates", "flow control is always on: gates have no effect")
	}
	for i, gate := range b.file.FeatureGates {
		path := indexed("featureGates", i)
		name, value, given := strings.Cut(gate, "=")
		_, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(value)))
		switch {
		case !slices.Contains(gates, name) && !slices.Contains(olderGates, name):
			b.wrong(path, "no such gate%s", meant(name, gates))
		case given && err != nil:
			b.wrong(path, "must be %s, %s=true or %s=false", name, name, name)
		case slices.Contains(olderGates, name):
			b.warn(path, "today's EPPs know this gate no more and refuse it; leave it out")
		}
	}
}

// needless are types that a file of today's EPPs may declare for what Weir does without
// being told, and what they are there.
var needless = map[string]string{
	"openai-parser": parser, "anthropic-parser": parser, "vllmhttp-parser": parser, "passthrough-parser": parser,
	"sglanghttp-parser": parser, "vertexai-parser": parser, "vllmgrpc-parser": parser,
	"token-producer": counter, "tokenizer": counter,
	"inflight-load-producer": "producer", "in-flight-load-producer": "producer",
	"disagg-headers-handler": "header handler", "prefill-header-handler": "header handler",
	"endpoint-notification-source": source, "k8s-notification-source": source,
	"models-data-source": source, "models-data-extractor": extractor,
	"dcgm-data-source": source, "dcgm-extractor": extractor, "topology-extractor": extractor,
	"session-id-producer": "producer", "mm-embeddings-cache-producer": "producer",
	"redis-syncer": "syncer", "redis-state-store": "syncer",
}

// What plug-ins of the data layer are there.
const (
	source    = "source"
	extractor = "extractor"
)

// counter is what a plug-in is there that counts the tokens of prompts.
const counter = "token producer"

// parser is what a plug-in is there that reads requests.
const parser = "parser"

// uncounted are the parsers of requests that Weir forwards without reading them.
var uncounted = []string{"passthrough-parser", "sglanghttp-parser", "vertexai-parser", "vllmgrpc-parser"}

// passedOver warns of a plug-in that has no effect here.
func (a *assembly) passedOver(path, typ string) {
	switch {
	case slices.Contains(uncounted, typ):
		a.warn(path, "Weir forwards such requests without reading them: their tokens are estimated by their length")
	case needless[typ] == counter:
		a.warn(path, "Weir runs no tokenizer: it estimates a prompt's tokens by its length, and learns them from the answer")
	default:
		a.warn(path, "Weir needs no plug-in of type %s: it has no effect", typ)
	}
}

// RequestHandler is the section of that name.
type RequestHandler struct {
	Parsers           []PluginRef `yaml:"parsers,omitempty" doc:"Parsers; the OpenAI, Anthropic and vLLM APIs are always read, and other calls forwarded"`
	Parser            *PluginRef  `yaml:"parser,omitempty" doc:"Older form of parsers"`
	PropagatePriority *bool       `yaml:"propagatePriority,omitempty" doc:"Accepted; has no effect"`
}

// requestHandler checks that what reads requests does: Weir knows the APIs itself.
func (a *assembly) requestHandler() {
	f := a.file
	if f.Parser != nil {
		a.warn("parser", "the OpenAI, Anthropic and vLLM APIs are always read: it has no effect")
		a.parser("parser.pluginRef", f.Parser)
	}
	if f.RequestHandler == nil {
		return
	}
	a.warn("requestHandler", "the OpenAI, Anthropic and vLLM APIs are always read, and other calls are forwarded: it has no effect")
	if p := f.RequestHandler.Parser; p != nil {
		a.parser("requestHandler.parser.pluginRef", p)
	}
	for i := range f.RequestHandler.Parsers {
		a.parser(indexed("requestHandler.parsers", i)+".pluginRef", &f.RequestHandler.Parsers[i])
	}
}

func (a *assembly) parser(path string, ref *PluginRef) {
	if typ, ok := a.declares(path, ref.PluginRef, parser); ok && needless[typ] != parser {
		a.wrong(path, "is of type %s, which is no parser", typ)
	}
}

// declares returns the type of the plug-in that a reference leads to, and reports one that
// leads to nothing. A type that is not declared stands for itself.
func (a *assembly) declares(path, ref, kind string) (typ string, ok bool) {
	if typ, ok := a.named[ref]; ok {
		return typ, !a.unknown[ref]
	}
	if a.elsewhere() && kind != parser || needless[ref] != "" || slices.Contains(a.registry.Types(), ref) {
		return ref, true
	}
	if ref == "" {
		a.wrong(path, "is missing; name a %s that is declared in plugins", kind)
	} else {
		a.wrong(path, "no such %s is declared in plugins", kind)
	}
	return "", false
}

// theirs are the types by which EPPs of today and of earlier releases choose endpoints, and that
// Weir does not have, or needs no more where it chooses.
var theirs = []string{
	"agent-identity", "burst-prefix-cache-producer", "context-length-aware",
	"dcgm-data-source", "dcgm-extractor", "decision-tree-filter",
	"destination-endpoint-served-verifier", "disaggregatedset-rollout-screener",
	"endpoint-attribute-filter", "endpoint-attribute-scorer", "endpoint-notification-source",
	"header-based-testing-filter", "header-label-affinity-scorer", "k8s-notification-source",
	"kv-cache-hint-v2", "least-kv-cache-filter", "least-queue-filter", "lora-affinity-filter", "low-queue-filter",
	"latency-scorer", "latency-slo-admitter", "mm-embeddings-cache-producer",
	"mm-embeddings-cache-scorer", "models-data-extractor", "models-data-source", "models-responder",
	"multicluster-approx-prefix-cache-producer", "multicluster-file-discovery",
	"multicluster-kv-cache-utilization-scorer", "multicluster-metrics-data-source",
	"multicluster-metrics-extractor", "multicluster-prefix-cache-scorer", "multicluster-queue-scorer",
	"multicluster-session-affinity-filter", "p2p-source-producer", "predicted-latency-producer", "predicted-latency-scorer", "probabilistic-admitter",
	"request-attribute-reporter", "session-affinity-filter", "session-id-producer",
	"slo-headroom-tier-filter", "topology-affinity-filter", "topology-affinity-scorer",
	"topology-extractor", "utilization-filter",
}
