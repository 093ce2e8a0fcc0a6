package processes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/test/extproc"
)

// Load keeps clients of tenants busy and counts what each tenant gets.
type Load struct {
	t       *testing.T
	Stop    context.CancelFunc // ends the clients early
	Clients sync.WaitGroup     // the clients, all of which end with the load's context
	Client  *http.Client
	Model   string // that is asked for; "simulated" by default
	// Tokens is how long the answer to a tenant's next request is; nil for 16 always. Many
	// clients call it at once.
	Tokens func(tenant string) int

	mu       sync.Mutex
	served   map[string]int // by tenant
	at       map[*Replica]int
	failures []Failure
}

// Failure is a request that was not answered with 200.
type Failure struct {
	Replica *Replica
	Tenant  string
	At      time.Time
	Err     error
	Status  int // what was answered; 0 for nothing
}

// StatusError is an answer of another status than 200.
type StatusError int

// Error implements error.
func (e StatusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

func newFailure(r *Replica, tenant string, err error) Failure {
	var status StatusError
	errors.As(err, &status)
	return Failure{r, tenant, time.Now(), err, int(status)}
}

// StartLoad returns a load without clients, and the context that ends them with the test.
func StartLoad(t *testing.T) (*Load, context.Context) {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{t: t, Stop: stop, served: map[string]int{}, at: map[*Replica]int{}, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	t.Cleanup(func() {
		stop()
		l.Clients.Wait()
		l.Client.CloseIdleConnections()
	})
	return l, ctx
}

// Tenant starts a tenant's clients at a replica. Each asks again as soon as it was
// answered, until ctx ends.
func (l *Load) Tenant(ctx context.Context, id string, clients int, r *Replica) {
	for range clients {
		l.Clients.Go(func() {
			for ctx.Err() == nil {
				err := l.Ask(ctx, id, r)
				if ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				if err == nil {
					l.served[id]++
					l.at[r]++
				} else {
					l.failures = append(l.failures, newFailure(r, id, err))
				}
				l.mu.Unlock()
				if err != nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
}

// Ask makes one request of a tenant at a replica, and returns why it was not answered.
func (l *Load) Ask(ctx context.Context, id string, r *Replica) error {
	if r.Do != nil {
		return askByDriver(ctx, id, r)
	}
	tokens := 16
	if l.Tokens != nil {
		tokens = l.Tokens(id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/completions",
		strings.NewReader(fmt.Sprintf(`{"model":%q,"prompt":"hi","max_tokens":%d}`, cmp.Or(l.Model, "simulated"), tokens)))
	if err != nil {
		return err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", id)
	req.Header.Set(TenantHeader, id)
	res, err := l.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return StatusError(res.StatusCode)
	}
	return nil
}

// Window measures what the tenants got in a time: the requests in all, and
// Jain's index over the tenants.
func (l *Load) Window(d time.Duration, tenants ...string) (requests int, jain float64) {
	before := l.Count(tenants)
	time.Sleep(d)
	got, requests := l.since(before, tenants)
	return requests, Jain(got)
}

// Next waits until the tenants have been served so many more requests, and returns how many
// each of them got. What shares are compared over is a number of requests, and no time: a
// slow machine takes longer for them, and divides them no otherwise.
func (l *Load) Next(requests int, tenants ...string) []int {
	l.t.Helper()
	before := l.Count(tenants)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		got, sum := l.since(before, tenants)
		if sum >= requests {
			return got
		}
		if time.Since(began) > Patience {
			l.t.Fatalf("within %v the tenants %v were served %v requests, want %d: %d failed", Patience, tenants, got, requests, len(l.Failed(nil)))
		}
	}
}

// since is how many requests each tenant was answered since they were counted, and all.
func (l *Load) since(before []int, tenants []string) (got []int, sum int) {
	got = l.Count(tenants)
	for i := range got {
		got[i] -= before[i]
		sum += got[i]
	}
	return got, sum
}

// Jain is Jain's index of fairness: 1 if all got the same, 1/n if one of n got everything.
func Jain(got []int) float64 {
	var sum, squares float64
	for _, n := range got {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	return sum * sum / (float64(len(got)) * squares)
}

// Count returns how many requests of each tenant were answered so far.
func (l *Load) Count(tenants []string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]int, len(tenants))
	for i, id := range tenants {
		counts[i] = l.served[id]
	}
	return counts
}

// ServedBy is how many requests a replica has answered.
func (l *Load) ServedBy(r *Replica) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[r]
}

// Failed returns the failures that did not end at the excepted replica.
func (l *Load) Failed(except *Replica) []Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failures []Failure
	for _, f := range l.failures {
		if f.Replica != except {
			failures = append(failures, f)
		}
	}
	return failures
}

// FailedOf returns how many requests of a tenant failed by what they were answered; 0 is
// no answer.
func (l *Load) FailedOf(tenant string) map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := map[int]int{}
	for _, f := range l.failures {
		if f.Tenant == tenant {
			failed[f.Status]++
		}
	}
	return failed
}

// Arrive sends requests at random times, so many a second on average, to random
// replicas.
func (l *Load) Arrive(ctx context.Context, id string, perSecond float64, replicas []*Replica) {
	l.Clients.Go(func() {
		for next := time.Now(); ctx.Err() == nil; {
			next = next.Add(time.Duration(rand.ExpFloat64() / perSecond * float64(time.Second)))
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
				return
			}
			r := replicas[rand.IntN(len(replicas))]
			l.Clients.Go(func() {
				if err := l.Ask(ctx, id, r); err != nil && ctx.Err() == nil {
					l.mu.Lock()
					l.failures = append(l.failures, newFailure(r, id, err))
					l.mu.Unlock()
				}
			})
		}
	})
}

// askByDriver makes the load's request as Envoy would.
func askByDriver(ctx context.Context, id string, r *Replica) error {
	res, err := r.Do(ctx, extproc.Request{
		Method: http.MethodPost, Path: "/v1/completions",
		Headers: map[string]string{"content-type": "application/json", "x-llm-d-inference-fairness-id": id},
		Body:    [][]byte{[]byte(`{"model":"simulated","prompt":"hi","max_tokens":16}`)},
	})
	if err == nil && res.Status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.Status, res.Body)
	}
	return err
}
