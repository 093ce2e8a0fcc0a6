package redis

import (
	"context"
	"fmt"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/storetest"
)

// open returns a factory of ledgers on one server, each a pool of its own.
func open(url string) storetest.Factory { return openWith(url, storetest.Timings()) }

func openWith(url string, timings store.Timings) storetest.Factory {
	var pools atomic.Int64
	return func(tb testing.TB, clock func() time.Time) store.Ledger {
		l, err := Open(context.Background(), Config{
			URL: url, Pool: fmt.Sprint("test-", pools.Add(1)), Timings: timings, Clock: clock,
			Timeout: 10 * time.Second,
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = l.Close() })
		return l
	}
}

// baseOf is what the ledger's keys start with.
func baseOf(server *miniredis.Miniredis, l store.Ledger) string {
	root := l.(*Ledger).root
	return root + ":" + server.HGet(root, "format") + ":" + server.HGet(root, "epoch")
}

// TestTranscripts runs the transcripts on both servers.
func TestTranscripts(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		storetest.Transcripts(t, "../testdata", open("redis://"+miniredis.RunT(t).Addr()))
	})
	t.Run("redis", func(t *testing.T) {
		storetest.Transcripts(t, "../testdata", open(redistest.Start(t).URL()))
	})
}

func TestConformanceOnMiniredis(t *testing.T) {
	storetest.Run(t, open("redis://"+miniredis.RunT(t).Addr()))
}

func TestConformanceOnRedis(t *testing.T) {
	storetest.Run(t, open(redistest.Start(t).URL()))
}

func TestConformanceOnCluster(t *testing.T) {
	_, url := redistest.StartCluster(t, 3)
	pools := open(url)
	storetest.Run(t, pools)
	storetest.Transcripts(t, "../testdata", pools)
}

// TestSameAsMemory drives random histories through the memory ledger and both servers, where
// they are, by library and by script, and between turns of another pool, and compares every
// answer.
func TestSameAsMemory(t *testing.T) {
	names, factories := []string{"memory", "miniredis"}, []storetest.Factory{
		func(_ testing.TB, clock func() time.Time) store.Ledger {
			return memory.New(memory.Config{Timings: storetest.Timings(), Clock: clock})
		},
		open("redis://" + miniredis.RunT(t).Addr()),
	}
	if _, err := exec.LookPath("redis-server"); err == nil {
		pools := open(redistest.Start(t).URL())
		names, factories = append(names, "redis", "redis by script", "redis among others"), append(factories, pools, byScript(pools), amongOthers(pools))
	} else {
		t.Log("without redis-server: it is not on this machine")
	}
	rapid.Check(t, func(rt *rapid.T) {
		clock := storetest.NewClock()
		ledgers := make([]store.Ledger, len(factories))
		for i, f := range factories {
			ledgers[i] = f(t, clock.Now)
			defer func() { _ = ledgers[i].Close() }()
		}
		storetest.Compare(rt, clock, names, ledgers)
	})
}

func TestInvariants(t *testing.T) {
	factory := open("redis://" + miniredis.RunT(t).Addr())
	rapid.Check(t, func(rt *rapid.T) { storetest.Invariants(rt, factory(t, storetest.NewClock().Now)) })
}

func TestForgets(t *testing.T) {
	storetest.Forgets(t, func(timings store.Timings) storetest.Factory {
		return openWith("redis://"+miniredis.RunT(t).Addr(), timings)
	})
}

// TestIdentityComesBack wants a ledger that lost its identity to take the one that its
// replicas know.
func TestIdentityComesBack(t *testing.T) {
	server := miniredis.RunT(t)
	l := open("redis://"+server.Addr())(t, storetest.NewClock().Now).(*Ledger)
	first, err := l.Identity(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	server.FlushAll()
	if again, err := l.Identity(t.Context(), first); again != first || err != nil {
		t.Errorf("after a wipe it is %q, %v, before it was %q", again, err, first)
	}
}
