package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// Audience is who watches a run. Its functions are called one at a time.
type Audience struct {
	// Show gets the figures so far, again and again.
	Show func(*Summary)
	// Console gets the console of the fleet that runs from now on.
	Console func(http.Handler)
	// Measured, if set, gets the summary once the measuring is over, and the fleet goes on
	// over the shared ledger until the context ends. Otherwise it ends with the measuring.
	Measured func(*Summary)
}

// tries is how often a ledger is opened: what a Redis must do once, reading the ledger's script,
// may take long where machine and Redis are busy, and it is done when it is asked again.
const tries = 4

func open(ctx context.Context, cfg redis.Config) (l *redis.Ledger, err error) {
	for range tries {
		var late net.Error
		if l, err = redis.Open(ctx, cfg); !errors.As(err, &late) || !late.Timeout() {
			break
		}
	}
	return l, err
}

// Run runs the load over the shared ledger and then with the limit divided, or
// over the shared ledger with chaos. If ctx ends before all is measured, it returns the
// summary so far beside ctx's error.
func Run(ctx context.Context, cfg Config, audience Audience) (*Summary, error) {
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
		l, err := open(ctx, redis.Config{URL: url, Pool: pool})
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // the run is over
		ledgers[i], limits[i] = l, cfg.limit()
	}
	r := run{cfg: cfg, ledger: "shared", ledgers: ledgers, limits: limits, audience: audience}
	if cfg.Chaos {
		r.wipe = func(ctx context.Context) error { return wipe(ctx, url, pool) }
		return r.measure(ctx, cfg.Duration, audience.Measured)
	}
	shared, err := r.measure(ctx, cfg.Duration/2, nil)
	if err != nil {
		return shared, err
	}
	divided := r
	divided.ledger, divided.ledgers, divided.limits = "divided", make([]store.Ledger, cfg.Replicas), make([]int, cfg.Replicas)
	for i := range divided.ledgers {
		divided.ledgers[i] = memory.New(memory.Config{})
		divided.limits[i] = (cfg.limit() + i) / cfg.Replicas
	}
	if shared.Divided, err = divided.measure(ctx, cfg.Duration/2, nil); err != nil || audience.Measured == nil {
		return shared, err
	}
	audience.Measured(shared)
	r.audience.Show = func(*Summary) {}
	_, err = r.measure(ctx, time.Second, func(*Summary) {})
	if ctx.Err() != nil {
		err = nil // as it should end
	}
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
	cfg      Config
	ledger   string
	ledgers  []store.Ledger
	limits   []int
	audience Audience
	wipe     func(context.Context) error // for chaos
}

// measure runs the load for a time, and measures after a tenth of it to warm up. With
// after, it then calls that and goes on until ctx ends.
func (r *run) measure(ctx context.Context, length time.Duration, after func(*Summary)) (*Summary, error) {
	m := newMeter(r.cfg.Tenants)
	f, err := startFleet(r.cfg, r.ledgers, r.limits, r.ledger == "shared", m)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	r.audience.Console(f.at(0).console)
	loading, stopLoad := context.WithCancel(ctx)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		runLoad(loading, f, m)
	}()
	defer func() {
		stopLoad()
		<-loaded
	}()
	measuring, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	pause(measuring, length/10)
	m.begin()
	began := time.Now()
	var timeline timeline
	broken := make(chan error, 1)
	if r.wipe != nil {
		go func() {
			broken <- f.chaos(measuring, m, length*9/10-50*time.Millisecond, r.wipe, timeline.add)
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
	for measuring.Err() == nil {
		select {
		case <-ticker.C:
			r.audience.Show(summarize())
		case <-measuring.Done():
		}
	}
	err = <-broken
	summary := summarize()
	m.end()
	if err := errors.Join(err, ctx.Err()); err != nil || after == nil {
		return summary, err
	}
	after(summary)
	<-ctx.Done()
	return summary, nil
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
