package app

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirflow/weir/gateway/admin/api"
)

// TestSilentIsTrouble wants every replica that should answer and does not to be named once.
func TestSilentIsTrouble(t *testing.T) {
	pool := &api.Pool{Endpoints: 1, Ledger: api.Ledger{State: "connected"}}
	pool.Fleet.Missing = []api.Missing{{Replica: "c", Why: "timeout"}}
	v := overview{Pool: pool, Trouble: missing(pool.Fleet), Replicas: []api.Replica{
		{ID: "a", Answered: true},
		{ID: "b"},
		{ID: "c"},
		{ID: "d", Leaving: true},
		{ID: "e", Lost: &api.Lost{InFlight: 2, Seconds: 3}},
	}}
	v.judge(nil)
	want := []string{
		"replica c did not answer, and what it knows is not shown: timeout",
		"replica b does not answer",
		"replica e is lost: 2 requests of it may still run, for 3 s at most",
	}
	if !slices.Equal(v.Trouble, want) {
		t.Errorf("trouble: %q, want %q", v.Trouble, want)
	}
}

// TestNobodyAnswers wants the address that was asked to be named, how to name another one, and
// what went wrong, without the request that was made.
func TestNobodyAnswers(t *testing.T) {
	c := &api.Client{Address: "127.0.0.1:1"}
	_, err := c.Pools(t.Context())
	err = explained(c, err)
	if text := err.Error(); exitCode(err) != exitUnreachable || !strings.HasPrefix(text, "no replica answers at the admin address 127.0.0.1:1 (--admin, WEIR_ADMIN): ") || strings.Contains(text, "http://") {
		t.Errorf("code %d: %s", exitCode(err), text)
	}
}

// TestFailingServersAreTrouble wants servers that answer, and fail what they are sent, to be
// told of: nothing else shows them.
func TestFailingServersAreTrouble(t *testing.T) {
	for failed, want := range map[float64]string{
		0.05: "",
		0.8:  "2% of the requests fail at model servers, most of them with upstream_failed: weir_endpoint_errors_total says which, the log why",
		25:   "50% of the requests fail at model servers, most of them with upstream_failed: weir_endpoint_errors_total says which, the log why",
	} {
		v := overview{Pool: &api.Pool{
			Endpoints: 1, Ledger: api.Ledger{State: "connected"}, Recent: api.Recent{SpanMS: longEnough, Dispatched: 100},
			Refusals: []api.Refusal{{Code: "queue_timeout", PerSecond: 50}, {Code: "upstream_failed", PerSecond: failed}, {Code: "upstream_timeout", PerSecond: failed}},
		}}
		v.judge(nil)
		if got := strings.Join(v.Trouble, "; "); got != want {
			t.Errorf("%v a second fail: %q, want %q", failed, got, want)
		}
	}
}

// TestPickersAreTold wants pickers to be shown at any width, and what cannot be asked to be trouble.
func TestPickersAreTold(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 30, 0, 0, time.Local)
	v := overview{Pool: &api.Pool{Endpoints: 1, Ledger: api.Ledger{State: "connected"}}, Pickers: []api.Picker{
		{Address: "10.0.0.1:9002", State: "in_use", Asked: 1234},
		{Address: "10.0.0.2:9002", State: "silent", Asked: 12, Unanswered: 3, Failed: 9, Ejected: 2, Error: "it answers nobody", ErrorAt: &at, Replicas: []api.PickerAt{{Replica: "a", State: "silent"}, {Replica: "b", State: "in_use"}}},
		{Address: "10.0.0.3:9002", State: "quiet"},
		{Address: "[::1]:9002", State: "never_connected", Error: "connection refused", ErrorAt: &at, Replicas: []api.PickerAt{{Replica: "a", State: "never_connected"}}},
	}}
	v.judge(nil)
	if want := []string{"picker 10.0.0.2:9002 answers nobody, says a; its last error, at 12:30:00: it answers nobody"}; !slices.Equal(v.Trouble, want) {
		t.Errorf("trouble: %q, want %q", v.Trouble, want)
	}
	for columns := 36; columns <= 100; columns++ {
		var out strings.Builder
		v.printPickers(&out, columns)
		fits(t, fmt.Sprint("at ", columns), out.String(), columns)
		for _, want := range []string{"10.0.0.1:9002", "in use", "silent", "never connected"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("at %d columns there is no %q:\n%s", columns, want, out.String())
			}
		}
	}
}

// TestUnknownReplicasAreTrouble wants a part of a fleet that does not know the rest of it to
// say so.
func TestUnknownReplicasAreTrouble(t *testing.T) {
	for counted, want := range map[int]int{2: 0, 3: 1} {
		v := overview{Pool: &api.Pool{Endpoints: 1, Ledger: api.Ledger{State: "connected", Members: counted}}, Replicas: []api.Replica{
			{ID: "a", Answered: true}, {ID: "b", Answered: true}, {ID: "c", Answered: true, OtherLedger: &api.OtherLedger{Pool: "other"}},
		}}
		v.judge(nil)
		said := slices.IndexFunc(v.Trouble, func(s string) bool { return strings.Contains(s, "the ledger counts 3 replicas and this one knows 2") }) >= 0
		if said != (want == 1) {
			t.Errorf("of %d replicas in the ledger: %q", counted, v.Trouble)
		}
	}
}

// TestWhatTenantsWaitFor tells a limit and a maximum from being served too little.
func TestWhatTenantsWaitFor(t *testing.T) {
	var v overview
	waits := api.Flow{Queued: 3, Share: 0.1, Entitled: 0.5, Recent: api.Recent{SpanMS: longEnough}}
	limited, grouped, starved, served := waits, waits, waits, waits
	limited.ID, limited.AtLimit, limited.Limit = "limited", true, &api.FlowLimit{MaxInFlight: 2}
	grouped.ID, grouped.AtMaximum = "grouped", "acme/product"
	starved.ID = "starved"
	served.ID, served.Share = "served", 0.5
	v.judgeTenants([]api.Flow{limited, grouped, starved, served})
	want := []string{
		"limited, priority 0: 3 wait; it is at its own limit of 2 in flight",
		`grouped, priority 0: 3 wait; it is in the group "acme/product", which is at its maximum`,
		"starved, priority 0: 3 wait; it gets 10% of its priority, and should get 50%",
	}
	if !slices.Equal(v.Tenants, want) {
		t.Errorf("%q, want %q", v.Tenants, want)
	}
}

// TestShadowIsSeen wants whoever looks at a fleet to see that nothing is held.
func TestShadowIsSeen(t *testing.T) {
	for _, on := range []bool{true, false} {
		var status, why bytes.Buffer
		v := overview{Pool: &api.Pool{Shadow: on, Endpoints: 1}, Replicas: []api.Replica{{ID: "a", Answered: true, LedgerState: "connected", Shadow: on}}}
		v.print(&status, 0)
		say(&why, &api.RequestDetail{Request: api.Request{ID: "1", Flow: "a", Shadow: on}, Why: &api.Why{Reason: "the pool is full"}}, 0)
		if got := strings.Contains(status.String(), "Shadow: requests go at once") && strings.Contains(status.String(), "connected, shadow"); got != on {
			t.Errorf("shadow %v, and weir status says:\n%s", on, status.String())
		}
		if got := strings.HasPrefix(why.String(), "shadow: the request went at once"); got != on {
			t.Errorf("shadow %v, and weir why says:\n%s", on, why.String())
		}
	}
}

// TestTablesFit wants tables to be no wider than the terminal by leaving columns out, and
// the first ones to stay.
func TestTablesFit(t *testing.T) {
	flows := []api.Flow{{
		ID: "a-tenant-of-some-name", Priority: -10, Weight: 2.5, Queued: 12345, OldestMS: 61_000, InFlight: 1234, Share: 0.33, Entitled: 0.5,
		TokensIn: 123_456_789, TokensCached: 12_345, TokensOut: 99_999_999, AtLimit: true, Limit: &api.FlowLimit{MaxInFlight: 1234, TokensPerMinute: 100_000},
		Recent: api.Recent{Dispatched: 1234.5, Refused: 0.1, WaitP99MS: 12_345},
	}}
	for _, columns := range []int{60, 80, 120} {
		narrow := flowTable(flows, columns)
		if w := narrow.width(); w > columns {
			t.Errorf("%d columns wide, where there are %d:\n%s", w, columns, narrow)
		}
		for i, title := range []string{"FLOW", "WAITING", "IN FLIGHT"} {
			if !slices.Contains(narrow[0], title) {
				t.Errorf("without column %d, %s, at %d columns", i, title, columns)
			}
		}
	}
	if all := flowTable(flows, 0); len(all[0]) != 15 || all.width() <= 120 {
		t.Errorf("all columns are %v", all[0])
	}
	pool := &api.Pool{
		Endpoints: 1, Ledger: api.Ledger{State: "connected"}, Bands: []api.Band{{Priority: 100, Policy: "round-robin-fairness-policy (round-robin-fairness-policy)", InFlight: 12345, Queued: 12345, OldestMS: 61_000}},
		Refusals: []api.Refusal{{Code: "queue_full", PerSecond: 3.25}, {Code: "bad_flow_id", PerSecond: 1}, {Code: "queue_timeout", PerSecond: 0.01}},
	}
	v := overview{Pool: pool, Replicas: []api.Replica{{ID: "weir-0.weir.default", Version: "v1.2.3-45-gdeadbeef", LedgerState: "connected", Answered: true}}}
	var out bytes.Buffer
	v.print(&out, 80)
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "Refused, a second: queue_full 3.2, bad_flow_id 1.0, queue_timeout <0.1") {
		t.Errorf("no reasons for refusals:\n%s", out.String())
	}
}

// TestStatusFitsNarrowScreens prints what priorities and groups have, on screens of a phone's width.
func TestStatusFitsNarrowScreens(t *testing.T) {
	limit := int64(128)
	account := api.Account{InFlight: 12, Entitled: 11.5, Guaranteed: 2.4, Had: []api.Had{{SpanMS: 60_000, Slots: 12.1}, {SpanMS: 300_000, Slots: 12.1}, {SpanMS: 3_600_000, Slots: 12.1, BelowMS: 65_000}}}
	band := api.Band{Priority: -10, Flows: 12, InFlight: 12, Limit: &limit, Queued: 1234, OldestMS: 12_300, Recent: api.Recent{Dispatched: 123.4, WaitP50MS: 123, WaitP99MS: 12_345}}
	v := overview{Pool: &api.Pool{Bands: []api.Band{band}}}
	v.Shares = []api.Share{{Priority: -10, Account: account}}
	for columns := 36; columns <= 80; columns++ {
		var out strings.Builder
		v.printBands(&out, columns)
		v.printShares(&out, columns)
		fits(t, fmt.Sprint("at ", columns), out.String(), columns)
	}
}
