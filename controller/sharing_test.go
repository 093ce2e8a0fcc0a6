package controller

import (
	"context"
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
