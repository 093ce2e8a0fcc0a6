package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestManyFlows has 10,000 tenants send a request each to three replicas, and asks each replica
// for a page of them, as the console does every 2 s: an answer takes all three together less of
// a CPU than the 300 ms in which it does not look slow, of which each does its part at once.
func TestManyFlows(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	const flows, soon = 10_000, 300 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, `{"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	t.Cleanup(server.Close)
	c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: []string{server.URL}}}
	for i := range 3 {
		c.Add(fmt.Sprint("r", i+1))
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	l, ctx := processes.StartLoad(t)
	for worker := range 32 {
		l.Clients.Go(func() {
			for n := worker; n < flows && ctx.Err() == nil; n += 32 {
				if err := l.Ask(ctx, fmt.Sprint("tenant-", n), c.Replicas[n%3]); err != nil {
					t.Errorf("tenant %d: %v", n, err)
				}
			}
		})
	}
	l.Clients.Wait()
	for _, r := range c.Replicas {
		client := &api.Client{Address: r.Admin}
		var took []time.Duration
		asked, before := 0, cpuSeconds(t, c.Replicas)
		for ; len(took) < 5; asked++ {
			time.Sleep(soon) // so that it is asked for anew
			began := time.Now()
			page, err := client.Flows(ctx, api.Query{Sort: "-queued", Limit: 50})
			switch {
			case err != nil:
				t.Fatal(err)
			case len(page.Fleet.Missing) > 0 && asked < 30: // one was busy with something else
				continue
			case page.Total != flows || len(page.Flows) != 50 || len(page.Fleet.Missing) > 0:
				t.Fatalf("%s tells of %d flows, without %v", r.ID, page.Total, page.Fleet.Missing)
			}
			took = append(took, time.Since(began))
		}
		each := time.Duration((cpuSeconds(t, c.Replicas) - before) / float64(asked) * float64(time.Second))
		slices.Sort(took)
		t.Logf("%s answers in %v at best, %v at half of them and %v at worst; %v of a CPU each", r.ID, took[0], took[2], took[4], each)
		if each > soon {
			t.Errorf("an answer of %s takes %v of a CPU, want at most %v", r.ID, each, soon)
		}
	}
}
