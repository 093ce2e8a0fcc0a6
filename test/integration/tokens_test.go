package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestTokensAreCounted sends 1,000 requests of four tenants by three replicas, half of them
// streamed: what a replica says that each tenant took over the fleet is what the servers
// said that it did.
func TestTokensAreCounted(t *testing.T) {
	t.Parallel()
	servers := startCounting(t)
	c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: servers.urls}}
	for i := range 3 {
		c.Add(fmt.Sprint("r", i+1))
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })

	const requests, tenants, callers = 1000, 4, 20
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < requests; i += callers {
				if err := askTokens(c.Replicas[i%3], fmt.Sprint("tenant-", i%tenants), i%2 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, r := range c.Replicas {
		var got map[string]tokens
		c.Wait("what the servers said is counted at "+r.ID, processes.Patience, func() bool {
			got = make(map[string]tokens)
			flows, err := processes.Get[api.Flows](r, "/v1/flows")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range flows.Flows {
				at := got[f.ID]
				got[f.ID] = tokens{at.in + f.TokensIn, at.cached + f.TokensCached, at.out + f.TokensOut}
			}
			return fmt.Sprint(got) == fmt.Sprint(servers.said())
		})
		t.Logf("%s: %v", r.ID, got)
	}
}

// tokens are those of a prompt, with those of them that were cached, and of an answer.
type tokens struct{ in, cached, out int64 }

// counting is two servers that say of each request what tokens it took, drawn at random.
type counting struct {
	urls []string

	mu  sync.Mutex
	all map[string]tokens // by tenant, whose name is the prompt
}

func startCounting(t *testing.T) *counting {
	c := &counting{all: make(map[string]tokens)}
	for range 2 {
		s := httptest.NewServer(c)
		t.Cleanup(s.Close)
		c.urls = append(c.urls, s.URL)
	}
	return c
}

func (c *counting) said() map[string]tokens {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]tokens)
	for tenant, n := range c.all {
		all[tenant] = n
	}
	return all
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Prompt string `json:"prompt"`
		Stream bool   `json:"stream"`
	}
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	tenant, _, _ := strings.Cut(asked.Prompt, " ")
	took := tokens{in: 5 + rand.Int64N(20), out: 1 + rand.Int64N(16)}
	took.cached = rand.Int64N(took.in)
	c.mu.Lock()
	at := c.all[tenant]
	c.all[tenant] = tokens{at.in + took.in, at.cached + took.cached, at.out + took.out}
	c.mu.Unlock()
	usage := fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}`,
		took.in, took.out, took.in+took.out, took.cached)
	if !asked.Stream {
		w.Header().Set("content-type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"text":"x"}],`+usage+`}`)
		return
	}
	w.Header().Set("content-type", "text/event-stream")
	for range took.out {
		_, _ = io.WriteString(w, `data: {"choices":[{"text":"x"}]}`+"\n\n")
	}
	_, _ = io.WriteString(w, `data: {"choices":[],`+usage+`}`+"\n\ndata: [DONE]\n\n")
}

// askTokens makes a request that names its tenant in its prompt, too, and reads its answer.
func askTokens(r *processes.Replica, tenant string, stream bool) error {
	body := fmt.Sprintf(`{"model":"m","prompt":"%s %s","max_tokens":16,"stream":%v,"stream_options":{"include_usage":true}}`, tenant, strings.Repeat("x", 200), stream)
	if !stream {
		body = strings.Replace(body, `,"stream_options":{"include_usage":true}`, "", 1)
	}
	req, err := http.NewRequest(http.MethodPost, r.URL+"/v1/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", tenant)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if res.StatusCode != http.StatusOK {
		return processes.StatusError(res.StatusCode)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
