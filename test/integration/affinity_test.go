package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// affine is a load in which every request belongs with earlier ones: it has the same
// beginning, or is of the same client.
type affine struct {
	scorer   string        // by which it goes where those went
	takes    time.Duration // at a server
	families int           // of requests that belong together
	requests int
}

// hits sends the load to eight servers by so many replicas, and returns how often a request
// arrived where an earlier one of its family had been.
func (a *affine) hits(t *testing.T, replicas int) float64 {
	t.Helper()
	cfg := processes.NewConfiguration(t)
	cfg.Write(fmt.Sprintf(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: %s, weight: 3}
  - {pluginRef: running-requests-size-scorer, weight: 2}
`, a.scorer))
	s := &counted{}
	var missed, arrived atomic.Int64
	for range 8 {
		var seen sync.Map
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			arrived.Add(1)
			if _, known := seen.LoadOrStore(string(body[:600]), true); !known {
				missed.Add(1)
			}
			time.Sleep(a.takes)
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
		}))
		t.Cleanup(server.Close)
		s.URLs = append(s.URLs, server.URL)
	}
	f := s.fleet(t, replicas, "--config", cfg.File)
	var clients sync.WaitGroup
	var sessions sync.Map // what clients were told to give, by family
	next := make(chan int)
	send := func(i int) error {
		family := rand.IntN(a.families)
		beginning := strings.Repeat(fmt.Sprintf("beginning %d of a prompt. ", family), 40)
		body := fmt.Sprintf(`{"prompt":"%s and then %d","model":"m"}`, beginning, i)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.Replicas[i%replicas].URL+"/v1/completions", strings.NewReader(body))
		if err != nil {
			return err
		}
		if session, told := sessions.Load(family); told {
			r.Header.Set("X-Session-Token", session.(string))
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // a test
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		if session := res.Header.Get("X-Session-Token"); session != "" {
			sessions.LoadOrStore(family, session)
		}
		return nil
	}
	for range 16 {
		clients.Go(func() {
			for i := range next {
				if err := send(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range a.requests {
		next <- i
	}
	close(next)
	clients.Wait()
	for _, r := range f.Replicas {
		r.Kill()
	}
	hits := 1 - float64(missed.Load())/float64(arrived.Load())
	t.Logf("%d replicas: %d of %d requests arrived where none of their family had been, %.1f%% hits", replicas, missed.Load(), arrived.Load(), 100*hits)
	return hits
}

// asByOne compares four replicas with one: so much fewer hits are as good. The fleets are there
// at the same time if servers take long.
func (a *affine) asByOne(t *testing.T, within float64) {
	t.Helper()
	var one, four float64
	t.Run("fleets", func(t *testing.T) {
		for replicas, hits := range map[int]*float64{1: &one, 4: &four} {
			t.Run(fmt.Sprint(replicas), func(t *testing.T) {
				if a.takes > 100*time.Millisecond {
					t.Parallel()
				}
				*hits = a.hits(t, replicas)
			})
		}
	})
	if four < one-within {
		t.Errorf("%.3f hits with four replicas, %.3f with one", four, one)
	}
}

// TestPrefixHits sends prompts with the same beginnings by one and by four replicas, and
// counts how often one arrives where its beginning was never seen.
func TestPrefixHits(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Run("short requests", func(t *testing.T) {
		(&affine{scorer: "prefix-cache-scorer", takes: 10 * time.Millisecond, families: 40, requests: 2000}).asByOne(t, 0.03)
	})
	t.Run("longer ones", func(t *testing.T) { // of which there are few
		(&affine{scorer: "prefix-cache-scorer", takes: 200 * time.Millisecond, families: 20, requests: 240}).asByOne(t, 0.05)
	})
}

// TestSessions has clients come back by any of four replicas, and counts how often one arrives
// where it had not been.
func TestSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 6 s")
	}
	(&affine{scorer: "session-affinity-scorer", takes: 20 * time.Millisecond, families: 40, requests: 1500}).asByOne(t, 0.03)
}
