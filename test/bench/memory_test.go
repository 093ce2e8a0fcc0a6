package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// TestFlowsSeenOnce runs 400,000 flows, each seen once, through one pool: what Redis holds
// must follow the flows of the last second, which is how long this pool keeps an idle
// counter, and an abandoned pool must leave nothing. If all were kept, they would take some
// 120 MB.
func TestFlowsSeenOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	const flows, aTurn = 400_000, 50
	ctx := context.Background()
	server := redistest.Start(t)
	l, err := redis.Open(ctx, redis.Config{
		URL: server.URL(), Timeout: 10 * time.Second,
		Timings: store.Timings{CounterKeep: 2 * time.Second},
		KeyTTL:  3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	client := goredis.NewClient(&goredis.Options{Addr: server.Address})
	defer client.Close() //nolint:errcheck // a test

	run := &turns{tb: t, ledger: l, statement: statement("me")}
	run.statement.Bands[0].Limit = store.Unlimited
	empty, peak, seen := memory(ctx, t, client), int64(0), 0
	began := time.Now()
	for ; seen < flows; seen += aTurn {
		for n := range aTurn {
			run.offer(fmt.Sprint("seen-once-", seen+n))
		}
		run.take()
		if seen%50_000 == 0 {
			peak = max(peak, memory(ctx, t, client))
		}
	}
	took := time.Since(began)
	rate := float64(flows) / took.Seconds()
	t.Logf("%d flows in %.0f s: at most %.1f MB above the %.1f MB of an empty server, %.0f bytes for each flow of a second",
		seen, took.Seconds(), float64(peak-empty)/1e6, float64(empty)/1e6, float64(peak-empty)/rate)
	// A flow costs some 300 bytes; what is kept is one second's idle flows, a
	// second's debts more at most, and what collecting lags behind.
	if limit := int64(4 * rate * 400); peak-empty > limit {
		t.Errorf("%d bytes at most, want less than %d: it grows with the flows ever seen", peak-empty, limit)
	}
	time.Sleep(4 * time.Second)
	if keys := client.DBSize(ctx).Val(); keys != 0 {
		t.Errorf("%d keys are left of an abandoned pool: %v", keys, client.Keys(ctx, "*").Val())
	}
}

// memory returns what the server has allocated, in bytes.
func memory(ctx context.Context, t *testing.T, client *goredis.Client) (used int64) {
	t.Helper()
	info, err := client.InfoMap(ctx, "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(info["Memory"]["used_memory"], &used); err != nil {
		t.Fatal(err)
	}
	return used
}
