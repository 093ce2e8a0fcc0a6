package adversary

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// tokensEach is how many tokens an answer of TestCheats has, one every tokenTime.
const (
	tokensEach = 50
	tokenTime  = 2 * time.Millisecond
)

// TestCheats has tenants who try to pay less than they take, and one whose server claims
// more tokens than it can have given, beside two honest ones, where tokens are what is shared:
// each holds its fair part of the slots' time, within 3 points. That is the time of the tokens
// that the server gave it: how long a busy machine took to write them is nobody's doing.
func TestCheats(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	const chat = "/v1/chat/completions"
	asked := fmt.Sprintf(`"max_tokens":%d`, tokensEach)
	tenants := []cheat{
		{name: "honest", path: chat, fields: `"stream":true,` + asked},
		{name: "honest-too", path: chat, fields: asked},
		{name: "hangs-up", path: "/v1/messages", fields: `"stream":true,` + asked, hangsUpAfter: tokensEach - 2},
		{name: "uncounted", path: "/v1/rerank", fields: `"query":"q"`},
		{name: "two-maxima", path: chat, fields: `"stream":true,"MAX_TOKENS":1,` + asked, hangsUpAfter: tokensEach - 2},
		{name: "claimed", path: chat, fields: asked},
	}
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			t.Parallel()
			held := &slotTime{by: map[string]time.Duration{}}
			server := httptest.NewServer(held)
			t.Cleanup(server.Close)
			c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: []string{server.URL}}}
			for n := range replicas {
				c.Add(fmt.Sprint("r", n+1), "--fairness", "vtc-fairness-policy", "--max-concurrency", "8")
			}
			c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(replicas) })
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for _, tenant := range tenants {
				for n := range 6 {
					clients.Go(func() {
						for ctx.Err() == nil {
							tenant.ask(ctx, c.Replicas[(n+rand.IntN(replicas))%replicas])
						}
					})
				}
			}
			defer clients.Wait()
			defer stop()
			given := func(slotSeconds float64) (got map[string]time.Duration, all float64) {
				c.Wait("slots are used", processes.Patience, func() bool {
					got, all = held.since()
					return all >= slotSeconds
				})
				held.reset()
				return got, all
			}
			given(20) // what is new is unlike the rest
			got, all := given(44)
			stop()
			for _, tenant := range tenants {
				share, fair := got[tenant.name].Seconds()/all, 1/float64(len(tenants))
				t.Logf("%-10s holds %4.1f%% of the slots' time, fair is %.1f%%", tenant.name, 100*share, 100*fair)
				if math.Abs(share-fair) > 0.03 {
					t.Errorf("%s holds %.1f%%, want %.1f%% within 3 points", tenant.name, 100*share, 100*fair)
				}
			}
		})
	}
}

// cheat is a tenant and how it asks.
type cheat struct {
	name, path, fields string
	hangsUpAfter       int // events of the answer; 0 for never
}

func (c cheat) ask(ctx context.Context, r *processes.Replica) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := fmt.Sprintf(`{"model":"m","user":%q,"messages":[{"role":"user","content":"hello"}],%s}`, c.name, c.fields)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+c.path, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("x-llm-d-inference-fairness-id", c.name)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close() //nolint:errcheck // read as far as is wanted
	if c.hangsUpAfter == 0 {
		_, _ = io.Copy(io.Discard, res.Body)
		return
	}
	events := 0
	for lines := bufio.NewScanner(res.Body); events < c.hangsUpAfter && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data:") {
			events++
		}
	}
}

// slotTime is a model server that knows for how long it worked for each tenant.
type slotTime struct {
	mu sync.Mutex
	by map[string]time.Duration
}

// since returns what each tenant held since the last reset, and the seconds of all.
func (s *slotTime) since() (by map[string]time.Duration, all float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.by {
		all += d.Seconds()
	}
	return maps.Clone(s.by), all
}

func (s *slotTime) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.by)
}

// ServeHTTP implements http.Handler.
func (s *slotTime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, tokens := time.Now(), tokensEach
	var asked struct {
		User   string `json:"user"`
		Stream bool   `json:"stream"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &asked)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.by[asked.User] += time.Duration(tokens) * tokenTime
	}()
	if !asked.Stream {
		time.Sleep(tokensEach * tokenTime)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case asked.User == "claimed":
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":10,"completion_tokens":1000000000000}}`)
		case strings.HasSuffix(r.URL.Path, "/rerank"):
			_, _ = io.WriteString(w, `{"results":[]}`)
		default:
			_, _ = fmt.Fprintf(w, `{"usage":{"prompt_tokens":10,"completion_tokens":%d}}`, tokensEach)
		}
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for n := range tokensEach {
		tokens = n + 1
		time.Sleep(time.Until(began.Add(time.Duration(tokens) * tokenTime)))
		if _, err := io.WriteString(w, "data: {\"type\":\"content_block_delta\"}\n\n"); err != nil || flush() != nil || r.Context().Err() != nil {
			return
		}
	}
	_, _ = fmt.Fprintf(w, "data: {\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n", tokensEach)
}
