package app

import (
	"strings"

	"github.com/spf13/pflag"
)

// Where the settings of Endpoint Pickers' command lines are here.
const (
	inferencePool = "Weir's is --inference-pool NAMESPACE/NAME"
	configFile    = "Weir's is --config FILE"
	processing    = "Weir's is --ext-proc ADDRESS, such as :9002"
	health        = "Weir serves gRPC health checks at --ext-proc, and /healthz and /readyz at --admin"
	secure        = "Weir's are --ext-proc-cert FILE and --ext-proc-key FILE, read again when they change; without them it speaks plain text"
	verbosity     = "Weir's is --log-level LEVEL"
	selector      = "Weir finds pods by an InferencePool (--inference-pool NAMESPACE/NAME) or a headless Service (--endpoints-dns ADDRESS)"
	fleet         = "leave it out: all of Weir's replicas serve; --redis URL and --join ADDRESS make them one fleet"
	engineMetrics = "write it into the file: weir.metrics, or core-metrics-extractor's engineConfigs"
	metricsSource = "write it into the file: metrics-data-source's parameters"
	needless      = "leave it out: Weir has nothing like it and needs none"
)

// pickerFlags are the flags of Endpoint Pickers of today and of earlier releases, in small letters
// and without dashes, and what to do instead of each.
var pickerFlags = map[string]string{
	"poolname": inferencePool, "poolnamespace": inferencePool, "poolgroup": inferencePool,
	"endpointselector": selector, "endpointtargetports": selector,
	"configfile": configFile, "configpath": configFile, "configtext": "Weir's is --config FILE, with that text in it",
	"grpcport": processing, "extprocport": processing,
	"grpchealthport": health, "healthchecking": health,
	"secureserving": secure, "certpath": secure, "enablecertreload": secure,
	"metricsport": "Weir's is --admin ADDRESS, such as :9090", "enablepprof": "Weir's is --pprof",
	"metricsendpointauth": "Weir's is --admin-token-file FILE",
	"v":                   verbosity, "zaploglevel": verbosity, "zapdevel": verbosity,
	"zapencoder":                "Weir's is --log-format FORMAT",
	"haenableleaderelection":    fleet,
	"enableleaderelection":      fleet,
	"grpcmaxrecvmsgsize":        "Weir's is --max-body SIZE",
	"refreshmetricsinterval":    "write it into the file: weir.metrics.interval",
	"totalqueuedrequestsmetric": engineMetrics, "totalrunningrequestsmetric": engineMetrics,
	"kvcacheusagepercentagemetric": engineMetrics, "lorainfometric": engineMetrics, "cacheinfometric": engineMetrics,
	"modelservermetricsport": metricsSource, "modelservermetricspath": metricsSource,
	"modelservermetricsscheme": metricsSource, "modelservermetricshttpsinsecureskipverify": metricsSource,
	"metricsstalenessthreshold": "write it into the file: utilization-detector's metricsStalenessThreshold",
	"tracing":                   "Weir traces by the variables of OpenTelemetry, such as OTEL_EXPORTER_OTLP_ENDPOINT", "allowexperimentalplugins": needless, "emitendpointscores": needless,
	"disableendpointsubsetfilter": needless, "refreshprometheusmetricsinterval": needless,
	"enablegrpcstreammetrics": needless, "grpcmaxsendmsgsize": needless,
	"destinationendpointhintkey": needless, "destinationendpointhintmetadatanamespace": needless,
}

// ofPicker says what to do instead of an Endpoint Picker's flag, to a command that has Weir's; empty
// for a flag that is none of them.
func ofPicker(flags *pflag.FlagSet, typed string) string {
	if flags.Lookup("ext-proc") == nil {
		return ""
	}
	return pickerFlags[strings.ReplaceAll(strings.ToLower(typed), "-", "")]
}
