package controller

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// slowLedger takes a while for each turn.
type slowLedger struct {
	store.Ledger
	took atomic.Int64
}

func (l *slowLedger) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	time.Sleep(time.Duration(l.took.Load()))
	return l.Ledger.Turn(ctx, s)
}

// TestSlowLedgerIsLogged wants an operator to hear that the ledger is slow, and that it is quick
// again: the replica was connected all the time.
func TestSlowLedgerIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard, logs := observer.New(zap.InfoLevel)
		l := &slowLedger{Ledger: memory.New(memory.Config{})}
		c, err := NewController(l, WithLimit(4), WithLogger(zap.New(heard)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, took := range []time.Duration{0, 300 * time.Millisecond, 0} {
			l.took.Store(int64(took))
			time.Sleep(30 * time.Second)
		}
		var said []string
		for _, e := range logs.All() {
			if _, of := e.ContextMap()["ledger"]; of {
				said = append(said, e.Message)
			}
		}
		want := []string{"connected to the ledger", "the ledger is slow: turns take long on average, and requests wait for them", "the ledger is quick again"}
		if !slices.Equal(said, want) {
			t.Errorf("logged %q, want %q", said, want)
		}
	})
}

// boundedLedger notes how long its turns may take.
type boundedLedger struct {
	store.Ledger
	within atomic.Int64
}

func (l *boundedLedger) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	if deadline, ok := ctx.Deadline(); ok {
		l.within.Store(int64(time.Until(deadline)))
	}
	return l.Ledger.Turn(ctx, s)
}

// TestTurnTimeout wants a turn to take no longer than it may, which is less than after which its
// reply would not be believed.
func TestTurnTimeout(t *testing.T) {
	for _, c := range []struct{ lease, set, want time.Duration }{
		{3 * time.Second, 70 * time.Millisecond, 70 * time.Millisecond},
		{time.Second, 500 * time.Millisecond, 400 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &boundedLedger{Ledger: memory.New(memory.Config{})}
			controller, err := NewController(l, WithLimit(1), WithLease(c.lease), WithTurnTimeout(c.set))
			if err != nil {
				t.Fatal(err)
			}
			defer controller.Close()
			dispatch(t, controller, request("flow"))
			if within := time.Duration(l.within.Load()); within != c.want {
				t.Errorf("with a lease of %v a turn may take %v, want %v", c.lease, within, c.want)
			}
		})
	}
}
