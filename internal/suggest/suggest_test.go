package suggest_test

import (
	"testing"

	"github.com/weirflow/weir/internal/suggest"
)

func TestClosest(t *testing.T) {
	known := []string{
		"concurrency-detector", "global-strict-fairness-policy", "round-robin-fairness-policy", "utilization-detector",
		"vtc-fairness-policy", "weighted-round-robin-fairness-policy", "upstream", "listen", "redis", "redis-prefix",
	}
	for typed, want := range map[string]string{
		"round-robin":          "round-robin-fairness-policy",
		"RoundRobin":           "round-robin-fairness-policy",
		"round_robin_policy":   "round-robin-fairness-policy",
		"weighted-round-robin": "weighted-round-robin-fairness-policy",
		"vtc":                  "vtc-fairness-policy",
		"vct":                  "vtc-fairness-policy",
		"concurency-detector":  "concurrency-detector",
		"utilisation-detector": "utilization-detector",
		"upstram":              "upstream",
		"usptream":             "upstream",
		"lsiten":               "listen",
		"redis-prefx":          "redis-prefix",
		"redis_prefix":         "redis-prefix",
		"kubernetes":           "",
		"x":                    "",
		"":                     "",
	} {
		if got := suggest.Closest(typed, known); got != want {
			t.Errorf("for %q: %q, want %q", typed, got, want)
		}
	}
}
