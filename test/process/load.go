package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load is clients that ask again as soon as they are answered, and what they got.
type Load struct {
	tb      testing.TB
	ctx     context.Context //nolint:containedctx // the life of the clients
	stop    context.CancelFunc
	clients sync.WaitGroup
	client  *http.Client

	mu     sync.Mutex
	status map[string]map[int]int // by tenant; 0 is no answer
	slow   map[string]time.Duration
}

// StartLoad returns clients of which there are none yet. They end with the test.
func StartLoad(tb testing.TB) *Load {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{
		tb: tb, ctx: ctx, stop: stop, status: map[string]map[int]int{}, slow: map[string]time.Duration{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	tb.Cleanup(l.Stop)
	return l
}

// Stop ends the clients, and waits for them.
func (l *Load) Stop() {
	l.stop()
	l.clients.Wait()
	l.client.CloseIdleConnections()
}

// Tenant starts a tenant's clients; each asks where the function says next.
func (l *Load) Tenant(id string, clients int, url func() string) {
	for range clients {
		l.clients.Go(func() {
			for l.ctx.Err() == nil {
				began := time.Now()
				status, err := l.Ask(l.ctx, url(), id)
				if l.ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				if l.status[id] == nil {
					l.status[id] = map[int]int{}
				}
				l.status[id][status]++
				l.slow[id] = max(l.slow[id], time.Since(began))
				l.mu.Unlock()
				if err != nil || status != http.StatusOK {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
}

// Ask makes one request of a tenant, for an answer of 16 tokens, and returns its
// status.
func (l *Load) Ask(ctx context.Context, url, tenant string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/completions",
		strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":16}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", tenant)
	res, err := l.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	return res.StatusCode, nil
}

// Statuses is how many answers of each status the tenants have, all of them if none
// is named; 0 is no answer.
func (l *Load) Statuses(tenants ...string) map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := map[int]int{}
	for id, of := range l.status {
		for status, n := range of {
			if len(tenants) == 0 || slices.Contains(tenants, id) {
				sum[status] += n
			}
		}
	}
	return sum
}

// Slowest is the longest that a tenant's request took.
func (l *Load) Slowest(tenant string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slow[tenant]
}
