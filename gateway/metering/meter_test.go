package metering_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// lossy is a ledger whose answers are lost as long as told.
type lossy struct {
	*memory.Ledger
	lost bool
}

func (l *lossy) AddUsage(ctx context.Context, b *store.UsageBatch) error {
	if err := l.Ledger.AddUsage(ctx, b); err != nil || !l.lost {
		return err
	}
	return store.ErrUnavailable
}

// TestNothingIsCountedTwice loses answers, and hours pass meanwhile.
func TestNothingIsCountedTwice(t *testing.T) {
	now := time.Date(2026, 11, 1, 10, 59, 59, 0, time.UTC)
	clock := func() time.Time { return now }
	l := &lossy{Ledger: memory.New(memory.Config{Clock: clock})}
	m := metering.New(metering.Config{Ledger: l, Replica: "r", Incarnation: 1, Clock: clock})
	count := func() { m.Count(&store.Usage{Flow: "a", Requests: 1, TokensIn: 10}) }

	l.lost = true
	count()
	for range 3 {
		if err := m.HandOver(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("handed over to a ledger that does not answer: %v", err)
		}
	}
	count()
	now = now.Add(2 * time.Second) // in the next hour
	count()
	l.lost = false
	if err := m.HandOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make(map[int]int64)
	if err := l.Usage(t.Context(), now.Add(-2*time.Hour), now.Add(time.Hour), func(hour time.Time, u store.Usage) {
		got[hour.Hour()] += u.TokensIn
	}); err != nil {
		t.Fatal(err)
	}
	if got[10] != 20 || got[11] != 10 || len(got) != 2 {
		t.Errorf("tokens by hour are %v, want 20 at 10 and 10 at 11", got)
	}
}

// hanging never answers.
type hanging struct{ store.Metering }

func (hanging) AddUsage(ctx context.Context, _ *store.UsageBatch) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestHangingIsTold wants the log to say that a ledger does not answer, also one that takes all
// the time of a try.
func TestHangingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, said := observer.New(zapcore.WarnLevel)
		m := metering.New(metering.Config{Ledger: hanging{}, Replica: "r", Incarnation: 1, Logger: zap.New(core)})
		m.Count(&store.Usage{Flow: "a", Requests: 1})
		if err := m.HandOver(t.Context()); err == nil || said.Len() != 1 {
			t.Errorf("%v, and %d lines say so", err, said.Len())
		}
	})
}

// TestNothingIsLost has a pool leave a replica and come back: what its next meter counts is
// added to what the one before did.
func TestNothingIsLost(t *testing.T) {
	l := memory.New(memory.Config{})
	for range 2 {
		m := metering.New(metering.Config{Ledger: l, Replica: "r", Incarnation: 1})
		m.Count(&store.Usage{Flow: "a", Requests: 1})
		if err := m.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var requests int64
	if err := l.Usage(t.Context(), time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour), func(_ time.Time, u store.Usage) {
		requests += u.Requests
	}); err != nil {
		t.Fatal(err)
	}
	if requests != 2 {
		t.Errorf("%d requests are counted, want 2", requests)
	}
}
