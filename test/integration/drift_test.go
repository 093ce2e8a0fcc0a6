package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/redis"
	"github.com/weirflow/weir/test/processes"
)

// TestDriftHeals changes what Redis holds by hand while two controllers work
// through it: each time requests go on, none is lost, and never
// more than the limit is in flight.
func TestDriftHeals(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	t.Parallel() // it mostly waits
	const limit = 8
	ctx := context.Background()
	server := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Address})
	defer client.Close() //nolint:errcheck // a test
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
	if err != nil {
		t.Fatal(err)
	}
	var controllers []*controller.Controller
	for i := range 2 {
		l, err := redis.Open(ctx, redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c, err := controller.NewController(l, controller.WithReplica(fmt.Sprint("r", i)),
			controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}),
			controller.WithSaturationDetector(detector))
		if err != nil {
			t.Fatal(err)
		}
		c.Observe(ctx, []policies.EndpointAccessor{policytest.Endpoint{}})
		controllers = append(controllers, c)
		t.Cleanup(func() {
			c.Close()
			_ = l.Close()
		})
	}
	var inFlight, peak, served, last, stall atomic.Int64
	loading, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer func() {
		stop()
		clients.Wait()
	}()
	for i := range 40 {
		clients.Go(func() {
			for loading.Err() == nil {
				r := &controller.Request{Flow: policies.FlowKey{ID: fmt.Sprint("flow-", i%4)}}
				if outcome, err := controllers[i%2].EnqueueAndWait(loading, r); err != nil {
					if loading.Err() == nil {
						t.Errorf("%v: %v", outcome, err)
					}
					return
				}
				at := time.Now().UnixNano()
				if since := at - last.Swap(at); since > stall.Load() {
					stall.Store(since)
				}
				now := inFlight.Add(1)
				for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
				}
				time.Sleep(5 * time.Millisecond)
				inFlight.Add(-1)
				controllers[i%2].Release(r, controller.Usage{})
				served.Add(1)
			}
		})
	}
	time.Sleep(1500 * time.Millisecond)
	base := func() string {
		root := client.HGetAll(ctx, "weir:{default}").Val()
		return "weir:{default}:" + root["format"] + ":" + root["epoch"]
	}
	book := func(kind string) string {
		for _, key := range client.Keys(ctx, base()+":"+kind+":*").Val() {
			return key
		}
		t.Fatalf("there is no %s", kind)
		return ""
	}
	var dump map[string]string
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"totals set to full", func() error { return client.HSet(ctx, base(), "held", "800").Err() }},
		{"totals set to nonsense", func() error { return client.HSet(ctx, base(), "held", "x").Err() }},
		{"waiting flows deleted", func() error { return client.Del(ctx, book("wait")).Err() }},
		{"counters deleted", func() error { return client.Del(ctx, book("count")).Err() }},
		{"offers deleted", func() error { return client.Del(ctx, base()+":offers").Err() }},
		{"ownership deleted", func() error { return client.Del(ctx, base()+":own:r0", base()+":own:r1").Err() }},
		{"leases deleted", func() error { return client.Del(ctx, base()+":leases").Err() }},
		{"messages deleted", func() error { return client.Del(ctx, base()+":messages:r0", base()+":messages:r1").Err() }},
		{"replicas deleted", func() error { return client.Del(ctx, base()+":replicas").Err() }},
		{"books deleted", func() error { return client.Del(ctx, base()+":books", base()+":bands").Err() }},
		{"everything deleted", func() error { return client.FlushAll(ctx).Err() }},
		{"an old dump taken", func() (err error) { dump, err = dumpAll(ctx, client); return err }},
		{"the old dump restored", func() error { return restoreAll(ctx, client, dump) }},
	} {
		stall.Store(0)
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		time.Sleep(time.Second) // for too many to be in flight, if it comes to that
		began, before := time.Now(), served.Load()
		for served.Load() < before+200 { // about 150 ms, on a machine that does nothing else
			if time.Since(began) > processes.Patience {
				t.Fatalf("%s: %d requests served in %v, a second later", c.what, served.Load()-before, processes.Patience)
			}
			time.Sleep(time.Millisecond)
		}
		longest := time.Duration(stall.Load())
		t.Logf("%s: no request dispatched for %v at the most, 200 served in %v, a second later", c.what, longest, time.Since(began))
		if longest > 3*time.Second { // a second for a recovery, and what a busy machine needs
			t.Errorf("%s: no request was dispatched for %v", c.what, longest)
		}
		if p := peak.Swap(0); p > limit {
			t.Errorf("%s: %d in flight, the limit is %d", c.what, p, limit)
		}
	}
}

func dumpAll(ctx context.Context, client *goredis.Client) (map[string]string, error) {
	dump := map[string]string{}
	keys, err := client.Keys(ctx, "*").Result()
	for _, key := range keys {
		value, err := client.Dump(ctx, key).Result()
		if err == nil {
			dump[key] = value
		}
	}
	return dump, err
}

func restoreAll(ctx context.Context, client *goredis.Client, dump map[string]string) error {
	_, err := client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.FlushAll(ctx)
		for key, value := range dump {
			p.Restore(ctx, key, time.Minute, value)
		}
		return nil
	})
	return err
}
