package kubernetes

import (
	"bufio"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
)

// TestManyPoolsAtRest wants 200 pools of 5 endpoints each to cost little while nothing comes:
// 10% of a core and 1 GiB, and up to twice the time on a slow machine.
func TestManyPoolsAtRest(t *testing.T) {
	const pools, each, rest = 200, 5, 10 * time.Second
	c := startCluster(t)
	c.namespace("many")
	url, adminURL := serve(t, "--inference-pools", "many/weir=yes", "--kubeconfig", c.kubeconfig(admin), "--redis", redistest.Start(t).URL(), "--max-concurrency", "4")
	a := &asker{t, url, adminURL}
	port, _, _ := modelServers(t, "127.0.0.1")
	made := make(chan int)
	var making sync.WaitGroup
	for range 8 {
		making.Go(func() {
			for i := range made {
				name := fmt.Sprintf("pool-%d", i)
				for k := range each {
					c.pod("many", fmt.Sprintf("%s-%d", name, k), name, fmt.Sprintf("127.1.%d.%d", i, k+1))
				}
				c.create(pooled("many", name, "model-"+name, port))
			}
		})
	}
	for i := range pools - 1 {
		made <- i
	}
	close(made)
	making.Wait()
	c.pod("many", "served", "served", "127.0.0.1")
	c.create(pooled("many", "served", "m", port))
	t.Logf("beside %d others a pool served after %v", pools-1, a.until("m", "the last pool", http.StatusOK, "127.0.0.1"))
	endpoints := func() (n int) {
		for _, p := range a.pools().Pools {
			n += p.Endpoints
		}
		return n
	}
	for began := time.Now(); endpoints() != (pools-1)*each+1; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d endpoints", endpoints())
		}
	}
	time.Sleep(rest / 4) // what just came has settled
	before := a.metric("process_cpu_seconds_total")
	time.Sleep(rest) // it is the time that is measured
	used := (a.metric("process_cpu_seconds_total") - before) / rest.Seconds()
	memory := a.metric("process_resident_memory_bytes") / (1 << 20)
	t.Logf("at rest %d pools take %.1f%% of a core and %.0f MiB", pools, 100*used, memory)
	if used > 0.2 || memory > 1024 {
		t.Errorf("%d pools at rest take %.1f%% of a core and %.0f MiB", pools, 100*used, memory)
	}
}

// metric is one of the replica's, which has no labels.
func (a *asker) metric(name string) (value float64) {
	a.t.Helper()
	res, err := http.Get(a.admin + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), name+" %g", &value); err == nil {
			return value
		}
	}
	a.t.Fatalf("no metric %s", name)
	return 0
}
