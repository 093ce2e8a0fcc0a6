package redis

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// open returns a factory of ledgers on one server, each a pool of its own.
func open(url string) storetest.Factory {
	var pools atomic.Int64
	return func(tb testing.TB, clock func() time.Time) store.Ledger {
		l, err := Open(context.Background(), Config{
			URL: url, Pool: fmt.Sprint("test-", pools.Add(1)), Lease: storetest.Lease, Recovery: storetest.Recovery, Clock: clock,
			Timeout: 10 * time.Second,
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = l.Close() })
		return l
	}
}

func TestConformanceOnMiniredis(t *testing.T) {
	storetest.Run(t, open("redis://"+miniredis.RunT(t).Addr()))
}

func TestConformanceOnRedis(t *testing.T) {
	storetest.Run(t, open(redistest.Start(t).URL()))
}
