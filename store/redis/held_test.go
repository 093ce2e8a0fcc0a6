package redis

import (
	"maps"
	"testing"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
)

// TestHoldings has two replicas say what tenants hold, and Redis keep what it should not.
func TestHoldings(t *testing.T) {
	at := redistest.Start(t)
	server, err := Connect(Config{URL: at.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // a test
	client, key := at.Client(), server.heldKey()
	exchange := func(put ...store.Holding) map[string]map[string]float64 {
		t.Helper()
		all, err := server.Exchange(t.Context(), put...)
		if err != nil {
			t.Fatal(err)
		}
		by := make(map[string]map[string]float64)
		for _, h := range all {
			by[h.Replica+" "+h.Pool] = h.Slots
		}
		return by
	}
	holding := func(replica string, number uint64, slots map[string]float64) store.Holding {
		return store.Holding{Pool: "team/llama 3", Replica: replica, Number: number, Slots: slots}
	}
	exchange(holding("a", 1, map[string]float64{"flow x": 1}))
	exchange(holding("a", 2, map[string]float64{"flow x": 1.5}))
	all := exchange(holding("b", 1, map[string]float64{"flow y": 2}))
	if len(all) != 2 || !maps.Equal(all["a team/llama 3"], map[string]float64{"flow x": 1.5}) || !maps.Equal(all["b team/llama 3"], map[string]float64{"flow y": 2}) {
		t.Errorf("kept are %v", all)
	}
	if left, err := client.PTTL(t.Context(), key).Result(); err != nil || left < store.HoldingKept || left > 3*store.HoldingKept {
		t.Errorf("the key is kept for %v: %v", left, err)
	}
	if all = exchange(holding("b", 2, nil)); len(all) != 1 {
		t.Errorf("without tenants it is kept: %v", all)
	}
	for field, text := range map[string]string{
		"a other": `{"pool": "team/llama 3", "replica": "a", "slots": {"flow x": 1}}`, "c pool": "nothing", "": "{",
		"d pool": `{"pool": "pool", "replica": "d", "slots": {"flow x": -1, "flow y": 1e300, "flow z": 1}}`,
	} {
		if err := client.HSet(t.Context(), key, field, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if all = exchange(); len(all) != 2 || !maps.Equal(all["d pool"], map[string]float64{"flow z": 1}) {
		t.Errorf("of what nobody says this is believed: %v", all)
	}
	if n, err := client.HLen(t.Context(), key).Result(); err != nil || n != 2 {
		t.Errorf("what cannot be read is kept: %d fields, %v", n, err)
	}
	if err := client.Set(t.Context(), key, "not a hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if all = exchange(holding("a", 3, map[string]float64{"flow x": 1})); len(all) != 1 {
		t.Errorf("where the key was no hash there is kept: %v", all)
	}
}
