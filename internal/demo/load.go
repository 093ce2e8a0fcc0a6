package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// meter measures what each tenant gets. It implements controller.Observer.
type meter struct {
	mu       sync.Mutex
	running  bool // warming up is over
	tenants  map[string]*measured
	gap      float64
	failures int
	lost     int // with a replica that was killed
	last     time.Time
	pause    time.Duration // the longest between two dispatches
}

// measured is one tenant's service.
type measured struct {
	tenant   Tenant
	requests int
	tokens   int
	waits    []time.Duration
}

func newMeter(tenants []Tenant) *meter {
	m := &meter{tenants: make(map[string]*measured)}
	for _, t := range tenants {
		m.tenants[t.ID] = &measured{tenant: t}
	}
	return m
}

// Decided implements controller.Observer.
func (m *meter) Decided(flow policies.FlowKey, outcome controller.Outcome, waited time.Duration, _ string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[flow.ID]
	if t == nil || !m.running || outcome != controller.Dispatched {
		return
	}
	now := time.Now()
	m.pause = max(m.pause, now.Sub(m.last))
	m.last = now
	t.waits = append(t.waits, waited)
	t.requests++
	t.tokens += t.tenant.Tokens
	least, most := -1.0, -1.0
	for _, t := range m.tenants {
		if t.tenant.Pause > 0 {
			continue // it is not always backlogged, so the bound does not apply to it
		}
		service := float64(t.requests) / t.tenant.Weight
		if least < 0 || service < least {
			least = service
		}
		most = max(most, service)
	}
	m.gap = max(m.gap, most-least)
}

// TurnTaken implements controller.Observer.
func (m *meter) TurnTaken(time.Duration, error) {}

// failed counts a request that was not answered.
func (m *meter) failed(by *replica) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if by.severed.Load() {
		m.lost++
	} else {
		m.failures++
	}
}

// mark is the counts at one moment.
type mark struct {
	at             time.Time
	requests       map[string]int
	failures, lost int
}

// mark begins to measure a phase.
func (m *meter) mark() mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := mark{at: time.Now(), requests: make(map[string]int), failures: m.failures, lost: m.lost}
	for id, t := range m.tenants {
		k.requests[id] = t.requests
	}
	m.last, m.pause = k.at, 0
	return k
}

// since measures the phase since the mark.
func (m *meter) since(k mark) Phase {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var all int
	var service []float64
	for id, t := range m.tenants {
		n := t.requests - k.requests[id]
		all += n
		if t.tenant.Pause == 0 {
			service = append(service, float64(n)/t.tenant.Weight)
		}
	}
	return Phase{
		PauseMs: ms(max(m.pause, now.Sub(m.last))), RequestsPerSecond: float64(all) / now.Sub(k.at).Seconds(),
		JainIndex: jain(service), Lost: m.lost - k.lost, Failed: m.failures - k.failures,
	}
}

func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.last = true, time.Now()
}

// end ends the measuring: what comes after counts no more.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
}

// runLoad keeps every tenant's clients going until ctx ends.
func runLoad(ctx context.Context, f *fleet, m *meter) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1024}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var clients sync.WaitGroup
	for _, t := range f.cfg.Tenants {
		for _, at := range t.replicas(len(f.replicas)) {
			for range t.Clients {
				clients.Go(func() {
					for ctx.Err() == nil {
						by := f.near(at)
						if err := ask(ctx, client, by.url, t); err != nil && ctx.Err() == nil {
							m.failed(by)
							pause(ctx, 100*time.Millisecond)
						}
						pause(ctx, t.Pause)
					}
				})
			}
		}
	}
	clients.Wait()
}

// ask makes one request and reads its answer to the end.
func ask(ctx context.Context, client *http.Client, url string, t Tenant) error {
	body := fmt.Appendf(nil, `{"model":"simulated","max_tokens":%d,"messages":[{"role":"user","content":"hello"}]}`, t.Tokens)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("x-llm-d-inference-fairness-id", t.ID)
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read to the end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("tenant %s: status %d", t.ID, res.StatusCode)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
