package app

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/policies/builtin"
)

// run runs the command line for at most the time given and returns what it
// printed and how it ended.
func run(t *testing.T, most time.Duration, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	var out bytes.Buffer
	root := newRoot(builtin.Registry())
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func TestBadFlags(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	taken := l.Addr().String()
	serve := slices.Clip([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "error"})
	good := slices.Clip(append(serve, "--upstream", "http://127.0.0.1:1"))
	for _, c := range []struct {
		args []string
		says string // what the error must name
	}{
		{serve, "--upstream"},
		{append(serve, "--upstream", "localhost:8000"), "http://127.0.0.1:8000"},
		{append(serve, "--upstream", "http://a/path"), "scheme, host and port"},
		{append(good, "--upstream", "http://127.0.0.1:1"), "named twice"},
		{append(good, "--max-concurrency", "-3"), "maxConcurrency is -3"},
		{append(good, "--max-concurrency", "many"), "invalid argument"},
		{append(good, "--fairness", "nobody"), "plug-in not declared"},
		{append(good, "--fairness", "fcfs-ordering-policy"), "is not a fairness policy"},
		{append(good, "--request-ttl", "-1s"), "must not be negative"},
		{append(good, "--max-body", "0"), "--max-body"},
		{append(good, "--replica-id", "a b"), "--replica-id"},
		{append(good, "--log-level", "loud"), "--log-level"},
		{append(good, "--listen", taken), "address already in use"},
		{append(good, "--admin", taken), "address already in use"},
		{append(good, "--no-such-flag"), "unknown flag"},
		{append(good, "word"), "unknown command"},
		{[]string{"modelserver", "--listen", "127.0.0.1:0", "--max-running", "0"}, "max running"},
		{[]string{"demo", "--replicas", "0"}, "replicas: 0"},
		{[]string{"demo", "--duration", "1ms"}, "duration"},
		{[]string{"demo", "--admin", taken}, "--admin"},
	} {
		_, err := run(t, 10*time.Second, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("weir %s: error %v, want one that says %q", strings.Join(c.args, " "), err, c.says)
		}
	}
}

// TestDemo runs a short demo and checks what its summary promises.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	out, err := run(t, time.Minute, "demo", "--duration", "4s", "--json", "--admin", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Limit        int64   `json:"limit"`
		InFlightPeak int64   `json:"in_flight_peak"`
		JainIndex    float64 `json:"jain_index"`
		Failures     int     `json:"failures"`
		Divided      struct {
			JainIndex float64 `json:"jain_index"`
		} `json:"divided"`
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &summary); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if summary.JainIndex < 0.98 || summary.InFlightPeak > summary.Limit || summary.Failures > 0 {
		t.Errorf("Jain index %.3f, at most %d of %d in flight, %d failures", summary.JainIndex, summary.InFlightPeak, summary.Limit, summary.Failures)
	}
	if summary.Divided.JainIndex > summary.JainIndex-0.1 {
		t.Errorf("divided, the Jain index is %.3f, hardly worse than %.3f", summary.Divided.JainIndex, summary.JainIndex)
	}
}
