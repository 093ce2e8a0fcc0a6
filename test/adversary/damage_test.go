package adversary

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/redis"
)

// TestDamage changes what Redis keeps, one key after the other and every kind of them,
// to what no turn has written, while three controllers serve: never is more in flight
// than the limit, every request is dispatched, and all flows are served again: within a
// second, on a machine that does nothing else.
func TestDamage(t *testing.T) {
	t.Parallel() // it mostly waits
	var address string
	if testing.Short() {
		address = miniredis.RunT(t).Addr()
	} else {
		address = redistest.Start(t).Address
	}
	client := goredis.NewClient(&goredis.Options{Addr: address})
	defer client.Close() //nolint:errcheck // a test
	rng := chance(t, os.Getenv("WEIR_ADVERSARY") != "")
	w := startWorld(t, "redis://"+address)
	kinds := kindsOfKeys(t, client)
	if len(kinds) < 16 {
		t.Fatalf("there are keys of %d kinds: %v", len(kinds), kinds)
	}
	part := 3 // of the damages: each run draws others
	switch {
	case testing.Short():
		part = 8
	case os.Getenv("WEIR_ADVERSARY") != "":
		part = 1
	}
	var slowest time.Duration
	for _, kind := range kinds {
		for _, d := range damages {
			if rng.IntN(part) > 0 {
				continue
			}
			key := anyKey(t, client, rng, kind)
			if key == "" {
				continue // it comes and goes
			}
			before := w.served()
			typ := client.Type(t.Context(), key).Val()
			what := d(t.Context(), client, rng, key, typ)
			if what == "" {
				continue
			}
			began := time.Now()
			for !w.allServed(before) {
				if time.Since(began) > 6*time.Second {
					t.Errorf("%s of %s: after 6 s not all flows are served: %v, %v before\n%s", what, key, w.served(), before, w.states(t))
					time.Sleep(3 * time.Second) // it must not be taken for the next one's doing
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			slowest = max(slowest, time.Since(began))
			if most := w.peak.Swap(0); most > w.limit {
				t.Errorf("%s of %s: %d requests in flight, the limit is %d", what, key, most, w.limit)
			}
		}
	}
	t.Logf("all flows were served again after %v at the most", slowest.Round(time.Millisecond))
}

// world is three controllers that share one Redis, and clients that keep them busy.
type world struct {
	limit          int64
	controllers    []*controller.Controller
	dispatched     []atomic.Int64
	inFlight, peak atomic.Int64
	refuses        atomic.Bool // what is refused is no failure, and asked again
}

func startWorld(t *testing.T, url string) *world {
	t.Helper()
	const flows = 6
	w := &world{limit: 8, dispatched: make([]atomic.Int64, flows)}
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: int(w.limit) / 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		l, err := redis.Open(t.Context(), redis.Config{URL: url, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		// Who does not gossip cannot tell the others to leave it its share of the limit when
		// its turns time out, as they do where the machine has no time for them.
		c, err := controller.NewController(l, controller.WithReplica(fmt.Sprint("r", i)), controller.WithTTL(0, 0),
			controller.WithStoreOutage(core.Hold, 500*time.Millisecond),
			controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}), controller.WithSaturationDetector(detector),
			controller.WithLimits(func(id string) shard.Limit {
				if id == "flow-0" {
					return shard.Limit{MaxInFlight: 2, TokensPerMinute: 1e9}
				}
				return shard.Limit{}
			}))
		if err != nil {
			t.Fatal(err)
		}
		c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{Name: "a"}, policytest.Endpoint{Name: "b"}})
		w.controllers = append(w.controllers, c)
		t.Cleanup(func() {
			c.Close()
			_ = l.Close()
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	t.Cleanup(func() {
		stop()
		clients.Wait()
	})
	for i := range 4 * flows {
		clients.Go(func() { w.client(ctx, t, i%flows, w.controllers[i%3]) })
	}
	time.Sleep(2500 * time.Millisecond) // past the first recovery, and a repetition in full
	return w
}

func (w *world) client(ctx context.Context, t *testing.T, flow int, c *controller.Controller) {
	for ctx.Err() == nil {
		r := &controller.Request{Flow: policies.FlowKey{ID: fmt.Sprint("flow-", flow)}, InputTokens: 10, OutputTokens: 10}
		if outcome, err := c.EnqueueAndWait(ctx, r); err != nil {
			if ctx.Err() == nil && w.refuses.Load() {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if ctx.Err() == nil {
				t.Errorf("flow %d: %v: %v", flow, outcome, err)
			}
			return
		}
		now := w.inFlight.Add(1)
		for p := w.peak.Load(); now > p && !w.peak.CompareAndSwap(p, now); p = w.peak.Load() {
		}
		w.dispatched[flow].Add(1)
		time.Sleep(5 * time.Millisecond)
		w.inFlight.Add(-1)
		c.Release(r, controller.Usage{InputTokens: 10, OutputTokens: 10, Known: true})
	}
}

func (w *world) served() (n []int64) {
	for i := range w.dispatched {
		n = append(n, w.dispatched[i].Load())
	}
	return n
}

// allServed reports whether every flow was served some more requests.
func (w *world) allServed(before []int64) bool {
	for i, n := range w.served() {
		if n < before[i]+10 {
			return false
		}
	}
	return true
}

func (w *world) states(t *testing.T) string {
	var out strings.Builder
	for _, c := range w.controllers {
		v, err := c.View(t.Context())
		fmt.Fprintf(&out, "%+v %v\n", v.Ledger, err)
	}
	return out.String()
}

// kindOf is a key without what names its replica, book or flow.
func kindOf(key string) string {
	parts := strings.Split(key, ":")
	if len(parts) < 5 {
		return strings.Join(parts, ":")
	}
	return strings.Join(append(parts[:5:5], fmt.Sprint(len(parts) > 5)), ":")
}

func kindsOfKeys(t *testing.T, client *goredis.Client) (kinds []string) {
	t.Helper()
	for range 20 { // some keys come and go
		keys, err := client.Keys(t.Context(), "weir:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if kind := generic(key); !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(kinds)
	return kinds
}

// generic is a key's kind, whatever the epoch.
func generic(key string) string {
	parts := strings.Split(kindOf(key), ":")
	if len(parts) > 3 {
		parts[3] = "EPOCH"
	}
	return strings.Join(parts, ":")
}

// anyKey is a key of that kind in the epoch that holds.
func anyKey(t *testing.T, client *goredis.Client, rng *rand.Rand, kind string) string {
	t.Helper()
	for range 50 {
		epoch := client.HGet(t.Context(), "weir:{default}", "epoch").Val()
		var keys []string
		for _, key := range client.Keys(t.Context(), "weir:*").Val() {
			if generic(key) == kind && (!strings.Contains(kind, "EPOCH") || strings.Contains(key, ":"+epoch)) {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			return keys[rng.IntN(len(keys))]
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ""
}

// garbage is what no turn writes.
func garbage(rng *rand.Rand) string {
	all := []string{"", "x", "\x1f", "\x1f\x1f\x1f\x1f\x1f\x1f\x1f", "inf", "-inf", "nan", "1e400", "-" + strings.Repeat("9", 40), "\x00\xff\xfe", strings.Repeat("9", 400)}
	return all[rng.IntN(len(all))]
}

// spoilt is a record one of whose fields, or parts, is garbage, or that is cut short.
func spoilt(rng *rand.Rand, record string) string {
	if len(record) > 2 && rng.IntN(3) == 0 {
		return record[:rng.IntN(len(record)-1)]
	}
	for _, separator := range []string{"\x1f", "\x1d"} {
		if fields := strings.Split(record, separator); len(fields) > 1 {
			fields[rng.IntN(len(fields))] = garbage(rng)
			return strings.Join(fields, separator)
		}
	}
	return garbage(rng)
}

// damages are what is done to a key. They say what they did, or nothing.
var damages = []func(ctx context.Context, c *goredis.Client, rng *rand.Rand, key, typ string) string{
	func(ctx context.Context, c *goredis.Client, _ *rand.Rand, key, _ string) string {
		c.Del(ctx, key)
		return "deletion"
	},
	func(ctx context.Context, c *goredis.Client, rng *rand.Rand, key, _ string) string { // another type
		c.Del(ctx, key)
		if rng.IntN(2) == 0 {
			c.Set(ctx, key, garbage(rng), time.Minute)
		} else {
			c.SAdd(ctx, key, garbage(rng), "y")
		}
		return "another type"
	},
	spoil, spoil, spoil, spoil, spoil, spoil,
	func(ctx context.Context, c *goredis.Client, rng *rand.Rand, key, typ string) string { // more than there was
		switch typ {
		case "hash":
			c.HSet(ctx, key, garbage(rng), garbage(rng))
		case "zset":
			c.ZAdd(ctx, key, goredis.Z{Score: []float64{-1e300, 0, 1e300}[rng.IntN(3)], Member: garbage(rng)})
		case "set":
			c.SAdd(ctx, key, garbage(rng))
		case "list":
			c.RPush(ctx, key, garbage(rng))
		}
		return "an element more"
	},
	func(ctx context.Context, c *goredis.Client, rng *rand.Rand, key, typ string) string { // less
		switch typ {
		case "hash":
			if fields := c.HKeys(ctx, key).Val(); len(fields) > 0 {
				c.HDel(ctx, key, fields[rng.IntN(len(fields))])
			}
		case "zset":
			c.ZRemRangeByRank(ctx, key, 0, 0)
		case "set":
			c.SPop(ctx, key)
		case "list":
			c.LPop(ctx, key)
		}
		return "an element less"
	},
}

// spoil makes garbage of one element.
func spoil(ctx context.Context, c *goredis.Client, rng *rand.Rand, key, typ string) string {
	switch typ {
	case "hash":
		fields := c.HKeys(ctx, key).Val()
		if len(fields) == 0 {
			return ""
		}
		field := fields[rng.IntN(len(fields))]
		value := spoilt(rng, c.HGet(ctx, key, field).Val())
		c.HSet(ctx, key, field, value)
		return fmt.Sprintf("%q at %q", value, field)
	case "zset":
		members := c.ZRange(ctx, key, 0, -1).Val()
		if len(members) == 0 {
			return ""
		}
		member := members[rng.IntN(len(members))]
		score := []string{"-inf", "+inf", "1e300", "-1e300"}[rng.IntN(4)]
		c.Do(ctx, "ZADD", key, score, member)
		return fmt.Sprintf("%s for %q", score, member)
	case "list":
		value := spoilt(rng, c.LIndex(ctx, key, 0).Val())
		c.LSet(ctx, key, 0, value)
		return fmt.Sprintf("%q", value)
	}
	return ""
}
