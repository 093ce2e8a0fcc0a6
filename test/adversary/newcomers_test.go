package adversary

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// crowd is a pool whose server takes part in the account: it knows of each request when it
// was sent, and when it was let go.
type crowd struct {
	replicas []*processes.Replica
	client   *http.Client

	mu      sync.Mutex
	sent    int
	waiting map[string]int // by flow
	grants  []letGo        // in their order
	asked   map[int]asked  // those that wait, by their numbers
}

// asked is a request that waits.
type asked struct {
	flow   string
	at     time.Time
	grants int // so many had been let go
}

// letGo is a request that reached the server.
type letGo struct {
	flow    string
	sent    int // that many were let go before it was sent
	waited  time.Duration
	waiting int // flows that waited just before, its own included
}

// passed is how many were let go while the request waited that is the nth to be.
func (g *letGo) passed(n int) int { return n - g.sent }

// slots is how many requests the crowd's pool takes, of serving each; hence 100 a second.
const (
	slots   = 8
	serving = 80 * time.Millisecond
)

// startCrowd starts n replicas in front of a pool that takes 100 requests a second.
func startCrowd(t *testing.T, n int, args ...string) *crowd {
	t.Helper()
	c := &crowd{
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
		waiting: map[string]int{}, asked: map[int]asked{},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var number int
		if _, err := fmt.Sscanf(string(body), `{"model":"m","prompt":"%d"`, &number); err == nil {
			c.arrived(number)
		}
		time.Sleep(serving)
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":16}}`)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(c.client.CloseIdleConnections)
	cluster := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: []string{server.URL}}}
	for i := range n {
		cluster.Add(fmt.Sprint("r", i+1), append([]string{"--max-concurrency", fmt.Sprint(slots)}, args...)...)
	}
	cluster.Wait("everybody knows everybody", processes.Patience, func() bool { return cluster.Agree(n) })
	c.replicas = cluster.Replicas
	return c
}

// arrived notes that a request was let go.
func (c *crowd) arrived(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, waits := c.asked[number]; waits {
		c.grants = append(c.grants, letGo{r.flow, r.grants, time.Since(r.at), len(c.waiting)})
		c.noLongerWaits(number)
	}
}

func (c *crowd) noLongerWaits(number int) {
	r, waits := c.asked[number]
	if !waits {
		return
	}
	delete(c.asked, number)
	if c.waiting[r.flow]--; c.waiting[r.flow] == 0 {
		delete(c.waiting, r.flow)
	}
}

// ask makes one request of a flow, by a replica of its own.
func (c *crowd) ask(ctx context.Context, flow string) {
	c.mu.Lock()
	c.sent++
	number := c.sent
	c.asked[number] = asked{flow, time.Now(), len(c.grants)}
	c.waiting[flow]++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.noLongerWaits(number)
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.replicas[number%len(c.replicas)].URL+"/v1/completions",
		strings.NewReader(fmt.Sprintf(`{"model":"m","prompt":"%d","max_tokens":16}`, number)))
	if err != nil {
		return
	}
	req.Header.Set("x-llm-d-inference-fairness-id", flow)
	if res, err := c.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

// steady are tenants that always have requests waiting, and light is one that has few.
var steady = []string{"steady-0", "steady-1"}

const light = "light"

// play has the steady tenants and the light one go on for a while, then fresh ids come for
// so long at so many a second. It returns what was let go before they came, and what
// meanwhile.
func (c *crowd) play(t *testing.T, perSecond int, lasts time.Duration) (quiet, crowded []letGo) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	for _, flow := range steady {
		for range 2 * slots {
			clients.Go(func() {
				for ctx.Err() == nil {
					c.ask(ctx, flow)
				}
			})
		}
	}
	every := func(d time.Duration, do func(i int)) {
		clients.Go(func() {
			ticks := time.NewTicker(d)
			defer ticks.Stop()
			for i := 0; ; i++ {
				select {
				case <-ticks.C:
					clients.Go(func() { do(i) })
				case <-ctx.Done():
					return
				}
			}
		})
	}
	every(150*time.Millisecond, func(int) { c.ask(ctx, light) })
	time.Sleep(2 * time.Second)
	c.mu.Lock()
	before := len(c.grants)
	c.mu.Unlock()
	if perSecond > 0 {
		every(time.Second/time.Duration(perSecond), func(i int) { c.ask(ctx, fmt.Sprint("fresh-", i)) })
	}
	time.Sleep(lasts)
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.grants[:before]), slices.Clone(c.grants[before:])
}

// account is what became of a flow.
type account struct {
	got     int     // of its requests were let go
	share   float64 // to a share of one of those that waited, each time that anything was let go
	gap     int     // the most that others were let go between two of its own
	rounds  float64 // the same, in rounds of the flows that waited
	longest time.Duration
	p99     time.Duration
	passed  int // the most that were let go while one of its own waited
}

// accountOf adds a flow up, of what was let go after so many others.
func accountOf(flow string, before int, grants []letGo) (a account) {
	var fair float64
	var since, most int
	var waits []time.Duration
	for n, g := range grants {
		fair += 1 / float64(g.waiting)
		since, most = since+1, max(most, g.waiting)
		if g.flow == flow {
			a.got++
			waits = append(waits, g.waited)
			a.passed = max(a.passed, g.passed(before+n))
			since, most = 0, 0
			continue
		}
		if since > a.gap {
			a.gap = since
		}
		if r := float64(since-slots) / float64(max(1, most)); r > a.rounds {
			a.rounds = r
		}
	}
	slices.Sort(waits)
	if len(waits) > 0 {
		a.longest, a.p99 = waits[len(waits)-1], waits[len(waits)*99/100]
	}
	a.share = float64(a.got) / fair
	return a
}

// TestNewcomersShare has fresh ids come as TestFreshIDs does, where newcomers share one flow:
// to each of the steady tenants they are one of three, and while one of its requests waits at
// most twice as many others are let go.
func TestNewcomersShare(t *testing.T) {
	file := configFile(t, "weir: {newcomers: {for: 1s}}\n")
	for _, tc := range []struct{ replicas, perSecond int }{{1, 500}, {3, 500}, {1, 50}, {1, 100}, {3, 50}, {3, 100}} {
		t.Run(fmt.Sprintf("%d replicas, %d a second", tc.replicas, tc.perSecond), func(t *testing.T) {
			if testing.Short() {
				t.Skip("skipped: takes 9 s")
			}
			if tc.perSecond != 500 || tc.replicas != 1 {
				slow(t)
			}
			c := startCrowd(t, tc.replicas, "--config", file)
			time.Sleep(time.Second) // it takes for known who comes before
			quiet, grants := c.play(t, tc.perSecond, 6*time.Second)
			all := 0
			for _, g := range grants {
				if g.flow != light {
					all++
				}
			}
			for _, flow := range steady {
				a := accountOf(flow, len(quiet), grants)
				part := float64(a.got) / float64(all)
				alone := accountOf(flow, 0, quiet)
				t.Logf("%s: %.3f of what the light tenant leaves; longest wait %v and %d others, %v and %d before",
					flow, part, a.longest.Round(time.Millisecond), a.passed, alone.longest.Round(time.Millisecond), alone.passed)
				if a.passed > 2*alone.passed {
					t.Errorf("%s waited for %d others, want at most twice the %d that it waited for before newcomers came", flow, a.passed, alone.passed)
				}
				if part < 0.9/3 {
					t.Errorf("%s got %.3f of what the light tenant leaves, want at least 0.9 of a third", flow, part)
				}
			}
			a := accountOf(light, len(quiet), grants)
			t.Logf("light: p99 wait %v, longest %v", a.p99.Round(time.Millisecond), a.longest.Round(time.Millisecond))
		})
	}
}

// TestFreshIDs has fresh ids, with one request each, come at a half, once and five times
// what the pool takes, beside two tenants that always wait and one that is light and known:
// the steady ones get the share of a flow of those that wait, and are never passed over for
// longer than those need.
func TestFreshIDs(t *testing.T) {
	for _, tc := range []struct{ replicas, perSecond int }{{1, 100}, {1, 50}, {1, 500}, {3, 50}, {3, 100}, {3, 500}} {
		t.Run(fmt.Sprintf("%d replicas, %d a second", tc.replicas, tc.perSecond), func(t *testing.T) {
			if testing.Short() {
				t.Skip("skipped: takes 8 s")
			}
			if tc.perSecond != 100 || tc.replicas != 1 {
				slow(t)
			}
			quiet, grants := startCrowd(t, tc.replicas).play(t, tc.perSecond, 6*time.Second)
			for _, flow := range steady {
				a := accountOf(flow, len(quiet), grants)
				t.Logf("%s: %.2f of one flow's share, at most %d others between two of its own, %.2f rounds; longest wait %v",
					flow, a.share, a.gap, a.rounds, a.longest.Round(time.Millisecond))
				if a.share < 0.9 {
					t.Errorf("%s got %.2f of the share of a flow that waits, want at least 0.9", flow, a.share)
				}
				if a.rounds > 1.5 {
					t.Errorf("%s was passed over for %.2f rounds of the flows that wait, want at most 1.5", flow, a.rounds)
				}
			}
			a := accountOf(light, len(quiet), grants)
			t.Logf("light: p99 wait %v, longest %v", a.p99.Round(time.Millisecond), a.longest.Round(time.Millisecond))
		})
	}
}
