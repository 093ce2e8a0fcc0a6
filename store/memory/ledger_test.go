package memory

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

func newForTest(_ testing.TB, clock func() time.Time) store.Ledger {
	return New(Config{Timings: storetest.Timings(), Clock: clock})
}

func TestConformance(t *testing.T) { storetest.Run(t, newForTest) }

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { storetest.Invariants(rt, newForTest(t, storetest.NewClock().Now)) })
}

func TestNewcomers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { storetest.Newcomers(rt, newForTest(t, storetest.NewClock().Now)) })
}

func TestTranscripts(t *testing.T) { storetest.Transcripts(t, "../testdata", newForTest) }

func TestForgets(t *testing.T) {
	storetest.Forgets(t, func(timings store.Timings) storetest.Factory {
		return func(_ testing.TB, clock func() time.Time) store.Ledger {
			return New(Config{Timings: timings, Clock: clock})
		}
	})
}

func TestShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := storetest.NewClock()
		storetest.Shares(rt, newForTest(t, clock.Now), clock)
	})
}
