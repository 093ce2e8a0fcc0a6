package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// longAnswer is of as many tokens as an engine has room for, nearly.
const longAnswer = contextSize/Slots - 100

func TestMain(m *testing.M) { processes.Main(m) }

// fleet is two replicas in front of two servers.
type fleet struct {
	*testing.T
	all      *processes.Servers
	servers  []*Server
	replicas []*processes.Replica
}

// startFleet starts it with a configuration.
func startFleet(t *testing.T, config string) *fleet {
	t.Helper()
	f := &fleet{T: t}
	f.all, f.servers = Start(t, 2)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: llm-d.ai/v1\nkind: EndpointPickerConfig\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := redistest.Start(t)
	args := []string{"--config", file, "--redis", redis.URL(), "--gossip", "127.0.0.1:0"}
	for _, id := range []string{"r1", "r2"} {
		r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", id, f.all, args...)
		f.replicas, args = append(f.replicas, r), append(args, "--join", r.Gossip)
	}
	f.within(10*time.Second, "the replicas find each other", func() bool {
		for _, r := range f.replicas {
			seen, err := processes.Get[api.Replicas](r, "/v1/replicas?scope=replica")
			if err != nil || len(seen.Replicas) != len(f.replicas) {
				return false
			}
		}
		return true
	})
	return f
}

func (f *fleet) within(most time.Duration, what string, condition func() bool) {
	f.Helper()
	for began := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > most {
			f.Fatalf("%s: not within %v", what, most)
		}
	}
}

// tokens is what a server counted of an answer.
type tokens struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Details    struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// stream makes one streaming request and reads its answer to the end. The usage is empty where
// it did not ask for one.
func stream(ctx context.Context, url, tenant string, most int, usage bool) (used tokens, err error) {
	body := fmt.Sprintf(`{"model":"random","messages":[{"role":"user","content":"a word to %s"}],"max_tokens":%d,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":%v}}`, tenant, most, usage)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return used, err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", tenant)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return used, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if res.StatusCode != http.StatusOK {
		return used, processes.StatusError(res.StatusCode)
	}
	chunks, done := 0, false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if done = done || data == "[DONE]"; !ok || done {
			continue
		}
		var chunk struct{ Usage *tokens }
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return used, fmt.Errorf("%q: %w", data, err)
		}
		if chunks++; chunk.Usage != nil {
			used = *chunk.Usage
		}
	}
	if !done || chunks < 3 {
		return used, errors.New("the stream broke off")
	}
	return used, nil
}

// TestFleet has three tenants with unequal load stream answers of two real engines by two
// replicas: the engines never queue, the tenants get the same, and what the engines said was
// used is what the fleet counted.
func TestFleet(t *testing.T) {
	f := startFleet(t, fmt.Sprintf(`
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: %d}}
- {type: core-metrics-extractor, parameters: {defaultEngine: llamacpp}}
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
`, Slots))
	ctx, stop := context.WithCancel(t.Context())
	var (
		clients sync.WaitGroup
		mu      sync.Mutex
		served  = map[string]int{}
		used    = map[string]tokens{}
	)
	tenant := func(name string, n int, at ...*processes.Replica) {
		for i := range n {
			clients.Go(func() {
				for ctx.Err() == nil {
					// It asks to the end, so that all that was used has been told.
					u, err := stream(context.WithoutCancel(ctx), at[i%len(at)].URL, name, 40, true)
					if err != nil || u.Completion != 40 {
						t.Errorf("%s: %v, with usage %+v", name, err, u)
						return
					}
					mu.Lock()
					served[name]++
					sum := used[name]
					sum.Prompt, sum.Completion, sum.Details.Cached = sum.Prompt+u.Prompt, sum.Completion+u.Completion, sum.Details.Cached+u.Details.Cached
					used[name] = sum
					mu.Unlock()
				}
			})
		}
	}
	tenant("everywhere", 12, f.replicas...)
	tenant("one", 24, f.replicas[0])
	tenant("two", 8, f.replicas[1])
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return min(served["everywhere"], served["one"], served["two"]) >= 60
	}
	queued := 0.0
	f.within(2*time.Minute, "60 answers for each tenant", func() bool {
		for _, s := range f.servers {
			queued = max(queued, s.Metric(t, "llamacpp:requests_deferred"))
		}
		return enough()
	})
	mu.Lock()
	least, most := min(served["everywhere"], served["one"], served["two"]), max(served["everywhere"], served["one"], served["two"])
	mu.Unlock()
	stop()
	clients.Wait()

	if queued > 0 {
		t.Errorf("an engine had %v requests in its own queue, want none", queued)
	}
	if peak := f.all.Peak.Load(); peak != 2*Slots {
		t.Errorf("%d requests in flight at most, want the limit, %d", peak, 2*Slots)
	}
	for i, s := range f.servers {
		if peak := s.Peak(); peak != Slots {
			t.Errorf("engine %d had %d requests in flight at most, want %d", i, peak, Slots)
		}
	}
	t.Logf("%d to %d requests by tenant", least, most)
	if float64(least) < 0.8*float64(most) {
		t.Errorf("tenants got %d to %d requests, want the same", least, most)
	}
	f.within(10*time.Second, "the fleet has counted what was used", func() bool {
		flows, err := processes.Get[api.Flows](f.replicas[0], "/v1/flows")
		if err != nil || len(flows.Flows) != len(used) {
			return false
		}
		for _, flow := range flows.Flows {
			u := used[flow.ID]
			if flow.TokensIn != u.Prompt || flow.TokensOut != u.Completion || flow.TokensCached != u.Details.Cached || flow.ServedRequests != int64(served[flow.ID]) {
				return false
			}
		}
		return true
	})
	// Whose answers tell no usage is charged all the same, by what streamed.
	for range 3 {
		if _, err := stream(t.Context(), f.replicas[0].URL, "untold", 20, false); err != nil {
			t.Fatal(err)
		}
	}
	f.within(10*time.Second, "what streamed without a usage is counted", func() bool {
		flows, err := processes.Get[api.Flows](f.replicas[0], "/v1/flows?flow=untold")
		return err == nil && len(flows.Flows) == 1 && flows.Flows[0].ServedRequests == 3 && flows.Flows[0].ServedTokens >= 3*20
	})
}

// TestReadings holds requests at one engine by its own address, more than it runs at once, and
// wants both replicas to know how many run there and how many wait.
func TestReadings(t *testing.T) {
	f := startFleet(t, `
plugins:
- {type: core-metrics-extractor, parameters: {defaultEngine: llamacpp}}
- {type: utilization-detector, parameters: {metricsStalenessThreshold: 5s}}
flowControl: {saturationDetector: {pluginRef: utilization-detector}}
`)
	ctx, stop := context.WithCancel(t.Context())
	var held sync.WaitGroup
	for range Slots + 2 {
		held.Go(func() { _, _ = stream(ctx, f.servers[0].Direct, "direct", longAnswer, true) })
	}
	defer held.Wait()
	defer stop()
	reads := func(r *processes.Replica, running, waiting int) bool {
		all, err := processes.Get[api.Endpoints](r, "/v1/endpoints?scope=replica")
		if err != nil {
			return false
		}
		for _, e := range all.Endpoints {
			if e.URL == f.servers[0].URL {
				return e.Running != nil && e.Waiting != nil && *e.Running == running && *e.Waiting == waiting
			}
		}
		return false
	}
	for _, r := range f.replicas {
		f.within(20*time.Second, r.ID+" reads the busy engine", func() bool { return reads(r, Slots, 2) })
	}
	f.within(10*time.Second, "a request is served while another engine is full", func() bool { // an engine breaks one off now and then
		_, err := stream(t.Context(), f.replicas[0].URL, "a", 20, true)
		return err == nil
	})
	stop()
	held.Wait()
	for _, r := range f.replicas {
		f.within(20*time.Second, r.ID+" reads that it is idle", func() bool { return reads(r, 0, 0) })
	}
}
