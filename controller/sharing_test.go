package controller

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// acquainted is a link whose fleet knows the ledger.
type acquainted struct {
	link
	identity string
}

func (a *acquainted) Ledger() string            { return a.identity }
func (a *acquainted) SetLedger(identity string) { a.identity = identity }

// wiped is a ledger that has lost its identity, and takes the one that it is given.
type wiped struct{ *memory.Ledger }

func (wiped) Identity(_ context.Context, known string) (string, error) {
	if known == "" {
		return "another", nil
	}
	return known, nil
}

var _ store.Shared = wiped{}

// TestLedgerKeepsItsIdentity wipes the ledger just after a replica has told its fleet which
// one it is: it must be the same one then, or replicas would take each other for strangers
// until all have asked.
func TestLedgerKeepsItsIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := &acquainted{link{&bus{handlers: make(map[string]coordinator.Handler)}, "a"}, "the first"}
		c, err := NewController(wiped{memory.New(memory.Config{})}, WithReplica("a"), WithFleet(fleet))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * refreshEvery)
		c.Close()
		if fleet.identity != "the first" {
			t.Errorf("the fleet is told of %q", fleet.identity)
		}
	})
}

// kept is a ledger that replicas of another version keep, which say what they hold from the
// third turn on.
type kept struct {
	*memory.Ledger
	turns    atomic.Int64
	attested atomic.Int64
	early    atomic.Bool // it was, when nobody would have left it a share
}

func (k *kept) Turn(context.Context, *store.Statement) (*store.Reply, error) {
	other := &store.OtherFormatError{Format: "0123abcd", Held: -1}
	if k.turns.Add(1) > 2 {
		other.Held = 5
	}
	return nil, other
}

func (k *kept) Attest(ctx context.Context, replica string, incarnation uint64) error {
	if k.turns.Load() <= 2 {
		k.early.Store(true)
	}
	k.attested.Add(1)
	return k.Ledger.Attest(ctx, replica, incarnation)
}

// TestSharesBesideAnotherVersion wants a replica that is refused by those of another version
// to be left its share, once they say what they hold.
func TestSharesBesideAnotherVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := &kept{Ledger: memory.New(memory.Config{})}
		fleet := &acquainted{link{&bus{handlers: make(map[string]coordinator.Handler)}, "a"}, "the ledger"}
		c, err := NewController(ledger, WithReplica("a"), WithFleet(fleet))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		c.Close()
		if ledger.attested.Load() == 0 || ledger.early.Load() {
			t.Errorf("that this replica would hold a lease was said %d times at the ledger, before the others said what they hold: %v", ledger.attested.Load(), ledger.early.Load())
		}
	})
}
