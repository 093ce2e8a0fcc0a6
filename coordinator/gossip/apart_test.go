package gossip

import (
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/coordinator"
)

// until waits until a node's members are as the function wants them.
func (n *node) until(t *testing.T, what string, holds func(coordinator.Members) bool) {
	t.Helper()
	for began := time.Now(); !holds(n.Fleet.members()); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%s: %s sees %+v", what, n.cfg.Replica, n.Fleet.members())
		}
	}
}

// TestAnotherLedger keeps replicas apart that gossip and keep different ledgers, names
// them, and brings them together once they keep the same.
func TestAnotherLedger(t *testing.T) {
	a := start(t, "a", func(c *Config) { c.Ledger = coordinator.Ledger{Identity: "x", Pool: "one", Prefix: "weir:"} })
	b := start(t, "b", func(c *Config) {
		c.Ledger = coordinator.Ledger{Identity: "y", Pool: strings.Repeat("é", 100), Prefix: "weir:"}
	}, a)
	apart := func(m coordinator.Members) bool { return len(m.Live) == 1 && len(m.Apart) == 1 }
	a.until(t, "b is apart", apart)
	b.until(t, "a is apart", apart)
	a.says(t, "a replica keeps another ledger")
	b.SetLedger("x")
	together := func(m coordinator.Members) bool { return len(m.Live) == 2 && len(m.Apart) == 0 }
	a.until(t, "b is a member", together)
	b.until(t, "a is a member", together)
	select {
	case <-a.up:
	case <-time.After(patience):
		t.Fatal("there is no stream")
	}
}

// TestDifferentSettings names the settings in which a replica differs.
func TestDifferentSettings(t *testing.T) {
	settings := func(b string) []coordinator.Setting {
		return []coordinator.Setting{{Key: "a", Path: "first", Print: "1"}, {Key: "b", Path: "second", Print: b}}
	}
	a := start(t, "a", func(c *Config) { c.Settings = settings("1") })
	b := start(t, "b", func(c *Config) { c.Settings = settings("2") }, a)
	differs := func(what string) func(coordinator.Members) bool {
		return func(m coordinator.Members) bool {
			for _, live := range m.Live {
				if live.ID == "b" {
					return live.Differs == what
				}
			}
			return false
		}
	}
	a.until(t, "b differs", differs("second"))
	a.says(t, "second")
	b.SetSettings(settings("1"))
	a.until(t, "b does not differ", differs(""))
}

// TestFromTheFuture refuses a replica whose incarnation no clock can have reached: it
// would count as later than every run to come.
func TestFromTheFuture(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", func(c *Config) { c.Incarnation = 1<<64 - 1 }, a)
	a.says(t, `"b" at `+b.Address()+` says that it started in the future`)
	if n := a.list.NumMembers(); n != 1 {
		t.Errorf("a has %d members", n)
	}
}
