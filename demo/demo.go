package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// refresh is how often the summary so far is shown.
const refresh = 500 * time.Millisecond

// Run runs the load over the shared ledger and then with the limit divided. It
// calls show with the figures so far while it runs.
func Run(ctx context.Context, cfg Config, show func(*Summary)) (*Summary, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	url := cfg.RedisURL
	if url == "" {
		embedded := miniredis.NewMiniRedis()
		if err := embedded.StartAddr("127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("embedded Redis: %w", err)
		}
		defer embedded.Close()
		url = "redis://" + embedded.Addr()
	}
	pool := fmt.Sprint("demo-", time.Now().UnixNano()) // a Redis of the user's may have others
	ledgers, limits := make([]store.Ledger, cfg.Replicas), make([]int, cfg.Replicas)
	for i := range ledgers {
		l, err := redis.Open(ctx, redis.Config{URL: url, Pool: pool})
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // the run is over
		ledgers[i], limits[i] = l, cfg.limit()
	}
	shared, err := run(ctx, cfg, "shared", ledgers, limits, show)
	if err != nil {
		return nil, err
	}
	for i := range ledgers {
		ledgers[i] = memory.New(memory.Config{})
		limits[i] = (cfg.limit() + i) / cfg.Replicas
	}
	shared.Divided, err = run(ctx, cfg, "divided", ledgers, limits, show)
	return shared, err
}

// run measures the load over one fleet, after a tenth of its time to warm up.
func run(ctx context.Context, cfg Config, ledger string, ledgers []store.Ledger, limits []int, show func(*Summary)) (*Summary, error) {
	m := newMeter(cfg.Tenants)
	f, err := startFleet(cfg, ledgers, limits, m)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	loading, cancel := context.WithTimeout(ctx, cfg.Duration/2)
	defer cancel()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		runLoad(loading, f, m)
	}()
	pause(loading, cfg.Duration/20)
	m.begin()
	began := time.Now()
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for loading.Err() == nil {
		select {
		case <-ticker.C:
			show(m.summarize(f, ledger, time.Since(began)))
		case <-loading.Done():
		}
	}
	summary := m.summarize(f, ledger, time.Since(began))
	<-loaded
	return summary, ctx.Err()
}
