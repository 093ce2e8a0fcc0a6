package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// onRedis is a ledger in Redis. Its wake-ups are there when the turn is over that sent
// them, so that a seed replays.
type onRedis struct {
	*redis.Ledger
	tb        testing.TB
	client    *goredis.Client
	published *goredis.PubSub
	passed    map[string]*passed // wake-ups of replicas, by the names of their channels
}

// passed is wake-ups as they come from Redis, and as they are passed on.
type passed struct {
	from <-chan store.Wakeup
	to   chan store.Wakeup
}

// pool is the name of the pool, and wake what the names of channels for wake-ups have
// before the replica's.
const pool, wake = "simulated", ":wake:"

func newOnRedis(tb testing.TB, address string, clock func() time.Time) *onRedis {
	tb.Helper()
	l, err := redis.Open(tb.Context(), redis.Config{URL: "redis://" + address, Pool: pool, Clock: clock, Timeout: 30 * time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	o := &onRedis{Ledger: l, tb: tb, client: goredis.NewClient(&goredis.Options{Addr: address}), passed: make(map[string]*passed)}
	o.published = o.client.PSubscribe(tb.Context(), "*"+wake+"*")
	if _, err := o.published.Receive(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	o.Wipe()
	return o
}

// Close implements store.Ledger.
func (o *onRedis) Close() error {
	return errors.Join(o.published.Close(), o.client.Close(), o.Ledger.Close())
}

// Turn implements store.Ledger.
func (o *onRedis) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	reply, err := o.Ledger.Turn(ctx, s)
	const mark = "the mark" + wake
	o.client.Publish(ctx, mark, "")
	for {
		m, failed := o.published.ReceiveMessage(ctx)
		if failed != nil {
			o.tb.Fatal(failed)
		}
		if m.Channel == mark {
			return reply, err
		}
		_, replica, _ := strings.Cut(m.Channel, wake)
		if p := o.passed[replica]; p != nil {
			if w, open := <-p.from; open {
				select {
				case p.to <- w:
				default:
				}
			}
		}
	}
}

// Wakeups implements store.Ledger.
func (o *onRedis) Wakeups(ctx context.Context, replica string) <-chan store.Wakeup {
	p := &passed{o.Ledger.Wakeups(ctx, replica), make(chan store.Wakeup, store.PendingWakeups)}
	o.passed[replica] = p
	return p.to
}

// Wipe forgets everything.
func (o *onRedis) Wipe() {
	if err := o.client.FlushDB(context.Background()).Err(); err != nil {
		o.tb.Fatal(err)
	}
}

// kinds are the kinds of keys that there are: a key's name without the epoch, and what
// names its replica, book or flow.
func (o *onRedis) kinds() map[string][]string {
	kinds := make(map[string][]string)
	root := "weir:{" + pool + "}"
	epoch := o.client.HGet(context.Background(), root, "epoch").Val()
	keys := o.client.Keys(context.Background(), root+"*").Val()
	slices.Sort(keys)
	for _, key := range keys {
		parts := strings.Split(strings.TrimPrefix(key, root), ":") // "", the format, the epoch, the kind and more
		switch {
		case len(parts) == 1:
			kinds["root"] = append(kinds["root"], key)
		case len(parts) == 3 && parts[2] == epoch:
			kinds["state"] = append(kinds["state"], key)
		case len(parts) > 3 && parts[2] == epoch:
			kinds[parts[3]] = append(kinds[parts[3]], key)
		}
	}
	return kinds
}

// remove deletes a key of a kind, or all of that kind.
func (o *onRedis) remove(rng *rand.Rand, kind string) string {
	keys := o.kinds()[kind]
	if len(keys) > 1 && rng.IntN(2) == 0 {
		at := rng.IntN(len(keys))
		keys = keys[at : at+1]
	}
	if len(keys) == 0 {
		return "no key is of kind " + kind
	}
	if err := o.client.Del(context.Background(), keys...).Err(); err != nil {
		o.tb.Fatal(err)
	}
	return fmt.Sprintf("deletion of %v", keys)
}

// TestDamage deletes keys of each kind while a fleet serves, often two shortly after each
// other, so that the second comes while the ledger begins anew for the first. The limit
// holds, no request is lost, and the pool is soon in use again.
func TestDamage(t *testing.T) {
	address := miniredis.RunT(t).Addr()
	run := func(cfg Config, over func(*onRedis), damage func(*onRedis, *rand.Rand) string) {
		t.Helper()
		var ledger *onRedis
		cfg.Ledger = func(clock func() time.Time) Ledger {
			ledger = newOnRedis(t, address, clock)
			return ledger
		}
		cfg.Damage = func(rng *rand.Rand) string { return damage(ledger, rng) }
		if _, err := Run(cfg); err != nil {
			t.Errorf("%d replicas, apart %v: %v", cfg.Replicas, cfg.Apart, err)
		}
		over(ledger)
		_ = ledger.Close()
	}
	var kinds []string
	undamaged := damaged(0)
	undamaged.Faults = nil
	run(undamaged, func(l *onRedis) { kinds = slices.Sorted(maps.Keys(l.kinds())) }, nil)
	for _, kind := range []string{"messages", "limited"} { // they come and go
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) < 18 {
		t.Fatalf("there are keys of these kinds only: %v", kinds)
	}
	first, seeds := seedsOf(t, 15, 6, 2)
	for seed := first; seed < first+seeds; seed++ {
		kind := kinds[seed%uint64(len(kinds))]
		run(damaged(seed), func(*onRedis) {}, func(l *onRedis, rng *rand.Rand) string {
			this := kind
			kind = []string{"root", "state", "replicas"}[rng.IntN(3)] // the second time
			return l.remove(rng, this)
		})
	}
}

// damaged returns the run of a seed in which what the ledger keeps is damaged.
func damaged(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 3))
	cfg := Config{
		Seed: seed, Replicas: 2 + rng.IntN(3), Shards: 32, Limit: int64(4 + rng.IntN(5)), Length: 7 * time.Second,
		Service: 50 * time.Millisecond << rng.IntN(4), Apart: rng.IntN(2) == 0, Faults: []Fault{Damage}, Bounded: true,
	}
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas}})
	}
	cfg.Flows = append(cfg.Flows, Flow{ID: "limited", Weight: 1, Clients: 3, Most: 2, Light: true, Replicas: []int{0, 1}})
	return cfg
}
