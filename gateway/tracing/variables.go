package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// mistake is a variable that is not what it must be.
type mistake struct{ name, value, must string }

// Error implements error.
func (m *mistake) Error() string {
	if m.value == "" {
		return fmt.Sprintf("%s: must be %s", m.name, m.must)
	}
	return fmt.Sprintf("%s %q: must be %s", m.name, m.value, m.must)
}

// rule is what some variables must be.
type rule struct {
	names  string // separated by spaces
	must   string
	right  func(value string) bool
	secret bool // no error may repeat a value
}

// whether are the rules for the variables that say whether there are traces.
var whether = []rule{
	{names: "OTEL_SDK_DISABLED", must: "true or false", right: oneOf("true", "false")},
	{names: "OTEL_TRACES_EXPORTER", must: "otlp or none", right: oneOf("otlp", "none")},
}

// how are the rules for those that say how they are made and where they go. The SDK would go on
// by a default where one of them is wrong: to another collector, or with all traces kept.
var how = []rule{
	{names: "OTEL_EXPORTER_OTLP_PROTOCOL OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", must: "http/protobuf or grpc", right: oneOf("http/protobuf", "grpc")},
	{names: "OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", must: "a URL such as http://collector:4318", right: isURL, secret: true},
	{names: "OTEL_EXPORTER_OTLP_COMPRESSION OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", must: "gzip or none", right: oneOf("gzip", "none")},
	{names: "OTEL_EXPORTER_OTLP_INSECURE OTEL_EXPORTER_OTLP_TRACES_INSECURE", must: "true or false", right: oneOf("true", "false")},
	{names: "OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS", must: "of the form name=value,name=value", right: arePairs, secret: true},
	{
		names: "OTEL_EXPORTER_OTLP_CERTIFICATE OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE " +
			"OTEL_EXPORTER_OTLP_CLIENT_KEY OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", must: "a file that can be read", right: canBeRead,
	},
	{names: "OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_TRACES_TIMEOUT OTEL_BSP_SCHEDULE_DELAY OTEL_BSP_EXPORT_TIMEOUT", must: "a whole number of milliseconds, such as 10000", right: isCount},
	{names: "OTEL_BSP_MAX_QUEUE_SIZE OTEL_BSP_MAX_EXPORT_BATCH_SIZE", must: "a whole number, such as 512", right: isCount},
	{names: "OTEL_PROPAGATORS", must: "of tracecontext, baggage and none, separated by commas", right: arePropagators},
	{
		names: "OTEL_TRACES_SAMPLER", must: "always_on, always_off, traceidratio, or one of these after parentbased_",
		right: oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
	},
	{names: "OTEL_TRACES_SAMPLER_ARG", must: "a number from 0 to 1", right: isRatio},
	{names: "OTEL_RESOURCE_ATTRIBUTES", must: "of the form name=value,name=value", right: arePairs},
}

// check returns what is wrong with the variables that are set, all of it.
func check(rules []rule) error {
	var wrong []error
	for _, r := range rules {
		for name := range strings.FieldsSeq(r.names) {
			value := strings.TrimSpace(os.Getenv(name))
			if value == "" || r.right(value) {
				continue
			}
			m := &mistake{name, value, r.must}
			if r.secret {
				m.value = ""
			}
			wrong = append(wrong, m)
		}
	}
	return errors.Join(wrong...)
}

// oneOf wants one of some words, in whichever case.
func oneOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, strings.ToLower(value)) }
}

func isURL(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func arePairs(value string) bool {
	for pair := range strings.SplitSeq(value, ",") {
		name, text, both := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(text); !both || strings.TrimSpace(name) == "" || err != nil {
			return false
		}
	}
	return true
}

func canBeRead(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

func isCount(value string) bool {
	n, err := strconv.Atoi(value)
	return err == nil && n >= 0
}

func isRatio(value string) bool {
	n, err := strconv.ParseFloat(value, 64)
	return err == nil && n >= 0 && n <= 1
}

func arePropagators(value string) bool {
	for name := range strings.SplitSeq(value, ",") {
		if !oneOf("tracecontext", "baggage", "none")(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}
