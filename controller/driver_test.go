package controller

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// insatiable is an inline ledger that wants another turn after each, until it has had
// enough.
type insatiable struct {
	*memory.Ledger
	enough atomic.Bool
}

func (l *insatiable) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	reply, err := l.Ledger.Turn(ctx, s)
	if err == nil && !l.enough.Load() {
		return &store.Reply{Status: store.Register, Now: reply.Now, Generation: reply.Generation}, nil
	}
	return reply, err
}

// TestInboxIsReadBetweenTurns has a ledger that wants one turn after another: the
// controller still answers.
func TestInboxIsReadBetweenTurns(t *testing.T) {
	l := &insatiable{Ledger: memory.New(memory.Config{})}
	c, err := NewController(l, WithLimit(1), WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(func() { l.enough.Store(true) })
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if _, err := c.View(ctx); err != nil {
		t.Errorf("view while turns are due: %v", err)
	}
}
