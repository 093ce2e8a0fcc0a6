package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// refresh is how often the summary so far is shown.
const refresh = 500 * time.Millisecond

// Run runs the load over the shared ledger and then with the limit divided, or
// over the shared ledger with chaos. It calls show with the figures so far while
// it runs.
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
	r := run{cfg: cfg, ledger: "shared", ledgers: ledgers, limits: limits, show: show}
	if cfg.Chaos {
		r.wipe = func(ctx context.Context) error { return wipe(ctx, url, pool) }
		return r.measure(ctx, cfg.Duration)
	}
	shared, err := r.measure(ctx, cfg.Duration/2)
	if err != nil {
		return nil, err
	}
	r.ledger = "divided"
	for i := range ledgers {
		ledgers[i] = memory.New(memory.Config{})
		limits[i] = (cfg.limit() + i) / cfg.Replicas
	}
	shared.Divided, err = r.measure(ctx, cfg.Duration/2)
	return shared, err
}

// wipe deletes all keys of the pool from the store.
func wipe(ctx context.Context, url, pool string) error {
	options, err := goredis.ParseURL(url)
	if err != nil {
		return err
	}
	client := goredis.NewClient(options)
	defer client.Close() //nolint:errcheck // nothing is kept
	keys := client.Scan(ctx, 0, "*{"+pool+"}*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := client.Del(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}

// run is the load over one fleet.
type run struct {
	cfg     Config
	ledger  string
	ledgers []store.Ledger
	limits  []int
	show    func(*Summary)
	wipe    func(context.Context) error // for chaos
}

// measure runs the load for a time, and measures after a tenth of it to warm up.
func (r *run) measure(ctx context.Context, length time.Duration) (*Summary, error) {
	m := newMeter(r.cfg.Tenants)
	f, err := startFleet(r.cfg, r.ledgers, r.limits, r.ledger == "shared", m)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	loading, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		runLoad(loading, f, m)
	}()
	pause(loading, length/10)
	m.begin()
	began := time.Now()
	var timeline timeline
	broken := make(chan error, 1)
	if r.wipe != nil {
		go func() {
			broken <- f.chaos(ctx, m, length*9/10-50*time.Millisecond, r.wipe, timeline.add)
			cancel()
		}()
	} else {
		broken <- nil
	}
	summarize := func() *Summary {
		s := m.summarize(f, r.ledger, time.Since(began))
		s.Timeline = timeline.all()
		return s
	}
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for loading.Err() == nil {
		select {
		case <-ticker.C:
			r.show(summarize())
		case <-loading.Done():
		}
	}
	err = <-broken
	summary := summarize()
	<-loaded
	return summary, errors.Join(err, ctx.Err())
}

// timeline gathers phases; it is safe for concurrent use.
type timeline struct {
	mu     sync.Mutex
	phases []Phase
}

func (t *timeline) add(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, p)
}

func (t *timeline) all() []Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.phases)
}
