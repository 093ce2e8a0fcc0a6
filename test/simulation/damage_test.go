package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/shard"
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

// remove deletes a key of a kind, or all of that kind; it says which.
func (o *onRedis) remove(rng *rand.Rand, kind string) string {
	keys := o.kinds()[kind]
	if len(keys) > 1 && rng.IntN(2) == 0 {
		at := rng.IntN(len(keys))
		keys = keys[at : at+1]
	}
	if len(keys) == 0 {
		return ""
	}
	if err := o.client.Del(context.Background(), keys...).Err(); err != nil {
		o.tb.Fatal(err)
	}
	return fmt.Sprintf("deletion of %q", keys)
}

// kindsOfKeys are those that the ledger's list of its keys has.
func kindsOfKeys(t *testing.T) (kinds []string) {
	t.Helper()
	list, err := os.ReadFile("../../store/redis/turn/keys.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^--   (root|base(?::([a-z]+))?)\b`).FindAllSubmatch(list, -1) {
		switch kind := string(m[2]); {
		case string(m[1]) == "root":
			kinds = append(kinds, "root")
		case kind == "":
			kinds = append(kinds, "state")
		case !slices.Contains(kinds, kind): // else the fleet's and each replica's
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// TestDamage deletes keys of each kind while a fleet serves, often two shortly after each
// other, so that the second comes while the ledger begins anew for the first. The limit
// holds, no request is lost, and the pool is soon in use again.
func TestDamage(t *testing.T) {
	kinds := kindsOfKeys(t)
	if !slices.Contains(kinds, "state") || !slices.Contains(kinds, "places") {
		t.Fatalf("there are keys of these kinds only: %v", kinds)
	}
	n := uint64(len(kinds))
	first, seeds := seedsOf(t, 0, (n+1)/2, 2)
	var wg sync.WaitGroup
	next := make(chan uint64)
	for range 2 {
		address := miniredis.RunT(t).Addr()
		wg.Go(func() {
			for seed := range next {
				runDamaged(t, address, seed, []string{kinds[2*seed%n], kinds[(2*seed+1)%n]})
			}
		})
	}
	for seed := first; seed < first+seeds; seed++ {
		next <- seed
	}
	close(next)
	wg.Wait()
}

// lost is the kind of keys that there is only while a replica is stopped.
const lost = "lost"

// runDamaged runs a fleet in which keys of those kinds are deleted, and perhaps others.
func runDamaged(t *testing.T, address string, seed uint64, kinds []string) {
	t.Helper()
	var ledger *onRedis
	cfg := damaged(seed, kinds)
	cfg.Ledger = func(clock func() time.Time) Ledger {
		ledger = newOnRedis(t, address, clock)
		return ledger
	}
	cfg.Damage = func(rng *rand.Rand, again bool) string {
		if again {
			return ledger.remove(rng, []string{"root", "state", "replicas"}[rng.IntN(3)])
		}
		for i, kind := range kinds {
			if slices.Contains(kinds, lost) && kind != lost {
				continue // after a new beginning there would be none
			}
			if what := ledger.remove(rng, kind); what != "" {
				kinds = slices.Delete(slices.Clone(kinds), i, i+1)
				return what
			}
		}
		return ""
	}
	if _, err := Run(cfg); err != nil {
		t.Errorf("%d replicas, groups %v, apart %v: %v", cfg.Replicas, cfg.Groups != nil, cfg.Apart, err)
	} else if len(kinds) > 0 {
		t.Errorf("seed %d: there never were keys of kind %v", seed, kinds)
	}
	_ = ledger.Close()
}

// damaged returns the run of a seed in which keys of those kinds are deleted.
func damaged(seed uint64, kinds []string) Config {
	rng := rand.New(rand.NewPCG(seed, 3))
	cfg := Config{
		Seed: seed, Replicas: 2 + rng.IntN(2), Shards: 32, Limit: int64(4 + rng.IntN(3)), Length: 9 * time.Second,
		Service: 100 * time.Millisecond << rng.IntN(3), Apart: rng.IntN(2) == 0, Faults: []Fault{Damage, Damage}, Bounded: true, Tokens: true,
	}
	group := func(path string) string { return "" }
	if rng.IntN(4) > 0 {
		cfg.Groups = map[string]float64{"a": 2, "a/x": 1, "a/y": 3, "b": 1, shard.Others: 1}
		group = func(path string) string { return path }
	}
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{
			ID: fmt.Sprint("flow-", i), Group: group([]string{"a/x", "a/y", "b"}[i]), Weight: 1, Clients: int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas},
		})
	}
	cfg.Flows = append(cfg.Flows, Flow{ID: "limited", Group: group(shard.Others), Weight: 1, Clients: 3, Most: 2, Light: true, Replicas: []int{0, 1}})
	if slices.Contains(kinds, lost) { // there is one while a replica is stopped
		cfg.Faults = append(cfg.Faults, Stop)
		cfg.Length = 14 * time.Second
	}
	return cfg
}
