package config_test

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
)

// TestTimeouts wants an objective's own where it has them, and the general ones elsewhere.
func TestTimeouts(t *testing.T) {
	const head = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
	plan, _, err := config.Parse([]byte(head+`weir:
  timeouts: {client: 5s, request: 10m}
  objectives: [{name: batch, priority: -1, timeouts: {request: 3h}}]
`), withServer())
	if err != nil {
		t.Fatal(err)
	}
	for objective, want := range map[string]string{"batch": "5s 3h0m0s", "": "5s 10m0s", "other": "5s 10m0s"} {
		w := plan.Flows.Timeouts("a", objective)
		if got := w.Client.String() + " " + w.Request.String(); got != want || w.FirstByte != nil {
			t.Errorf("objective %q has %s, first byte %v; want %s", objective, got, w.FirstByte, want)
		}
	}
	_, _, err = config.Parse([]byte(head+"weir: {timeouts: {firstByte: 0s}}\n"), withServer())
	if err == nil || !strings.Contains(err.Error(), `weir.timeouts.firstByte "0s": must be from 1ms to 720h`) {
		t.Errorf("no time at all: %v", err)
	}
}
