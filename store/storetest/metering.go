package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// metering wants what several writers add to be there once, by hour and flow, and no more
// flows than are told apart.
func metering(t *testing.T, ledger store.Ledger, clock *Clock) {
	l := ledger.(store.Metering)
	hour := clock.Now().Truncate(time.Hour)
	add := func(b store.UsageBatch) {
		t.Helper()
		if err := l.AddUsage(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	used := func(from, to time.Time) map[string]store.Usage {
		t.Helper()
		all := make(map[string]store.Usage)
		if err := l.Usage(t.Context(), from, to, func(at time.Time, u store.Usage) {
			all[fmt.Sprint(at.Sub(hour), " ", u.Flow)] = u
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	one := store.Usage{Flow: "a b", Requests: 1, TokensIn: 1 << 40, TokensCached: 3, TokensOut: 4, Charged: 5, Held: 6 * time.Millisecond}
	first := store.UsageBatch{Hour: hour, Writer: "r1", Number: 1, Flows: []store.Usage{one, {Flow: "c", Requests: 7}}}
	add(first)
	add(first) // whose answer was lost
	add(store.UsageBatch{Hour: hour, Writer: "r2", Number: 1, Flows: []store.Usage{one}})
	add(store.UsageBatch{Hour: hour, Writer: "r1", Number: 2, Flows: []store.Usage{one}})
	add(store.UsageBatch{Hour: hour.Add(time.Hour), Writer: "r1", Number: 3, Flows: []store.Usage{one}})
	want := one
	want.Add(&one)
	want.Add(&one)
	all := used(hour, hour.Add(2*time.Hour))
	if got := all["0s a b"]; got != want || len(all) != 3 || all["0s c"].Requests != 7 || all["1h0m0s a b"] != one {
		t.Errorf("used is %+v, want %+v in the first hour", all, want)
	}
	if all := used(hour.Add(time.Minute), hour.Add(time.Hour)); len(all) != 0 {
		t.Errorf("between the hours' begins %v was used", all)
	}

	many := store.UsageBatch{Hour: hour.Add(2 * time.Hour), Writer: "r1", Number: 4}
	for i := range store.MaxUsageFlows + 10 {
		many.Flows = append(many.Flows, store.Usage{Flow: fmt.Sprint("flow-", i), Requests: 1})
	}
	add(many)
	all = used(hour.Add(2*time.Hour), hour.Add(3*time.Hour))
	sum := int64(0)
	for _, u := range all {
		sum += u.Requests
	}
	if len(all) > store.MaxUsageFlows+1 || sum != int64(len(many.Flows)) || all["2h0m0s "+store.OtherFlows].Requests < 10 {
		t.Errorf("of %d flows %d are told apart, with %d requests, %d of others", len(many.Flows), len(all), sum, all["2h0m0s "+store.OtherFlows].Requests)
	}
}
