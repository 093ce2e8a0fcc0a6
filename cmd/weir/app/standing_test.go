package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirflow/weir/gateway/admin/api"
)

// fits wants no line of what was printed to be wider than there are columns.
func fits(t *testing.T, what, out string, columns int) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
			t.Errorf("%s: %d columns: %s", what, n, line)
		}
	}
}

// says wants a text to have all of these words, wherever its lines break.
func says(t *testing.T, what, out string, words ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(out), " ")
	for _, w := range words {
		if !strings.Contains(flat, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, out)
		}
	}
}

// TestRefusedReloadIsTrouble wants a configuration that is not in effect to be seen, and the code
// to say so.
func TestRefusedReloadIsTrouble(t *testing.T) {
	url := admin(t, map[string]string{
		"/v1/pool":     `{"endpoints": 1, "ledger": {"state": "connected", "members": 1}}`,
		"/v1/replicas": `{"replicas": [{"id": "r", "answered": true, "refused_config": {"at": "2026-11-26T18:00:00Z", "why": "a changed configuration was not taken over: weir.yaml:3: weir.flws: no such field"}}]}`,
	})
	out, err := run(t, 10*time.Second, "status", "--admin", url)
	if exitCode(err) != exitTrouble {
		t.Errorf("code %d: %v", exitCode(err), err)
	}
	says(t, "weir status", out, "replica r: since ", "a changed configuration was not taken over: weir.yaml:3: weir.flws: no such field")
	fits(t, "weir status", out, 80)
}

// TestGroupsMaxima wants them, and that one is reached, on the screen of 80 columns.
func TestGroupsMaxima(t *testing.T) {
	url := admin(t, map[string]string{
		"/v1/pool": `{"endpoints": 1, "ledger": {"state": "connected"}}`,
		"/v1/shares": `{"groups": [{"group": "acme/research-and-development", "priority": -10, "weight": 2.5, "in_flight": 300, "queued": 4000, "flows": 1, "share": 1, "entitled": 1, "in_flight_of_all": 400, "maximum": 400, "at_maximum": true},
			{"group": "acme", "in_flight_of_all": 3, "maximum": 12}, {"group": "*"}, {"group": "acme/*"}]}`,
	})
	for _, command := range []string{"status", "top"} {
		out, err := run(t, 10*time.Second, command, "--admin", url)
		if err != nil {
			t.Error(err)
		}
		says(t, command, out, "MAXIMUM", "at 400 of 400", "3 of 12", "(no group)", "acme/(no group)", "-10")
		fits(t, command, out, 80)
	}
}

// TestDrainedAreSeen wants model servers that are sent nothing to be told, and that none is left.
func TestDrainedAreSeen(t *testing.T) {
	for pool, want := range map[string][]string{
		`{"endpoints": 2, "endpoints_drained": 1, "ledger": {"state": "connected", "members": 1}}`:                         {"1 replica, turns of -; 2 model servers in use, 1 drained"},
		`{"endpoints": 0, "endpoints_drained": 2, "ledger": {"state": "connected", "members": 1}}`:                         {"no model server can be used: 2 drained by an operator (weir overrides)"},
		`{"endpoints": 0, "endpoints_drained": 2, "endpoints_ejected": 1, "ledger": {"state": "connected", "members": 1}}`: {"no model server can be used: 1 ejected, 2 drained"},
		`{"endpoints": 0, "ledger": {"state": "connected", "members": 1}}`:                                                 {"no model server can be used: the pool has none"},
	} {
		out, _ := run(t, 10*time.Second, "status", "--admin", admin(t, map[string]string{"/v1/pool": pool}))
		says(t, pool, out, want...)
	}
}

// TestFlowsAt80Columns wants priorities and own limits beside groups, and long names cut for it.
func TestFlowsAt80Columns(t *testing.T) {
	flows := []api.Flow{
		{ID: "a-tenant-of-a-long-name", Group: "acme/research", Priority: -10, Queued: 1234, InFlight: 100, Share: 0.25, Entitled: 0.5, AtLimit: true, Limit: &api.FlowLimit{MaxInFlight: 100}},
		{ID: "b", Group: "*", Limit: &api.FlowLimit{MaxInFlight: 3, TokensPerMinute: 20_000}},
	}
	out := flowTable(flows, 80).String()
	fits(t, "weir flows", out, 80)
	says(t, "weir flows", out, "FLOW", "GROUP", "PRIORITY", "OWN LIMIT", "…", "-10", "at 100", "3, 20k/min", "(no group)")
	if wide := flowTable(flows, 0).String(); !strings.Contains(wide, "a-tenant-of-a-long-name") || !strings.Contains(wide, "acme/research") {
		t.Errorf("names are cut without need:\n%s", wide)
	}
}

// TestEndpoints lists model servers with readings and without.
func TestEndpoints(t *testing.T) {
	url := admin(t, map[string]string{"/v1/endpoints": `{"total": 3, "endpoints": [
		{"name": "vllm-0", "url": "http://10.0.0.1:8000", "healthy": true, "in_flight": 7, "running": 5, "waiting": 2, "kv_cache_usage": 0.42, "age_ms": 120},
		{"name": "vllm-1", "url": "http://10.0.0.2:8000", "healthy": false, "ejected_by": ["weir-0", "weir-1"]}, {"name": "vllm-2", "healthy": true, "drained": true}]}`})
	out, err := run(t, 10*time.Second, "endpoints", "--admin", url)
	if err != nil {
		t.Fatal(err)
	}
	says(t, "weir endpoints", out, "vllm-0 in use 7 5 2 42%", "vllm-1 ejected by weir-0, weir-1 0", "vllm-2 drained")
	fits(t, "weir endpoints", out, 80)
	out, err = run(t, 10*time.Second, "endpoints", "--admin", admin(t, map[string]string{"/v1/endpoints": `{"endpoints": [{"name": "a", "healthy": true}]}`}))
	if err != nil || strings.Contains(out, "READ") || strings.Contains(out, "KV CACHE") {
		t.Errorf("columns of what nobody reads: %v\n%s", err, out)
	}
}

// TestEmptyListsSaySo wants a sentence where there is nothing, and another where nothing is like
// what was asked for.
func TestEmptyListsSaySo(t *testing.T) {
	url := admin(t, nil)
	for command, want := range map[string]string{
		"flows": "No flow has had a request of late.", "flows --flow x": "No flow is like that,", "requests": "Nothing waits and nothing is in flight.",
		"requests --state waiting": "No request is like that.", "endpoints": "The pool has no model server.", "overrides": "nothing is set", "usage": "Nothing was used.",
	} {
		out, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("weir %s: %v\n%s", command, err, out)
		}
	}
}

// TestShadowIsSeenInLists wants lists to say that flow control is only played.
func TestShadowIsSeenInLists(t *testing.T) {
	url := admin(t, map[string]string{"/v1/flows": `{"shadow": true, "flows": [{"id": "a"}]}`, "/v1/requests": `{"requests": [{"id": "r", "shadow": true}]}`})
	for _, command := range []string{"flows", "requests"} {
		if out, err := run(t, 10*time.Second, command, "--admin", url); err != nil || !strings.HasPrefix(out, "Shadow: requests go at once") {
			t.Errorf("weir %s: %v\n%s", command, err, out)
		}
	}
}

// TestPlaceInGroupIsSaid wants the place to be told among those that it is of.
func TestPlaceInGroupIsSaid(t *testing.T) {
	var out strings.Builder
	say(&out, &api.RequestDetail{Request: api.Request{ID: "1", Flow: "a"}, Why: &api.Why{Place: 2, InBand: 10, Group: "acme", InGroup: 4, PlaceInFlow: 1, Reason: "the pool is full: 4 of 4 in flight"}}, 80)
	says(t, "weir why", out.String(), "place 2 of 4 in its group acme (1 of its own flow); 10 wait at priority 0, where groups take turns; the pool is full")
	fits(t, "weir why", out.String(), 80)
}

// TestPartOfAShareOverPoolsIsSaid wants a tenant to be told why its weight counts less here, also of
// a request that is next. It may be the least part or a product of its group's and its own: what it
// holds here of all may be another.
func TestPartOfAShareOverPoolsIsSaid(t *testing.T) {
	for _, inLine := range []bool{false, true} {
		var out strings.Builder
		say(&out, &api.RequestDetail{Request: api.Request{ID: "1", Flow: "a", InLine: inLine}, Why: &api.Why{Place: 2, InBand: 10, PlaceInFlow: 1, FleetPart: 0.02, Reason: "the pool is full: 4 of 4 in flight"}}, 80)
		words := strings.Join(strings.Fields(out.String()), " ")
		says(t, "weir why", words, "its share is one over all pools: it counts for 2% of its weight here")
		if strings.Contains(words, "holds that part") {
			t.Errorf("of a part that may be the least, weir why says %q", words)
		}
		fits(t, "weir why", out.String(), 80)
	}
}

// several is an admin address of a replica with two pools, which refuses questions that name
// none.
func several(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, pool string)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pool := r.URL.Query().Get("pool")
		switch {
		case r.URL.Path == "/v1/pools":
			fmt.Fprint(w, `{"pools": [{"name": "llama"}, {"name": "qwen"}]}`)
		case pool == "":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error": "which pool is meant?"}`)
		default:
			answer(w, r, pool)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSeveralPools wants overviews to be of all pools, and requests to be found in whichever.
func TestSeveralPools(t *testing.T) {
	url := several(t, func(w http.ResponseWriter, r *http.Request, pool string) {
		switch {
		case r.URL.Path == "/v1/pool":
			fmt.Fprintf(w, `{"pool": %q, "endpoints": 1, "ledger": {"state": "connected"}}`, pool)
		case strings.HasPrefix(r.URL.Path, "/v1/requests/"):
			if pool != "qwen" || r.URL.Path != "/v1/requests/mine" {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"error": "no replica has a request"}`)
				return
			}
			fmt.Fprint(w, `{"id": "mine", "flow": "a", "state": "in_flight", "requests": [{"id": "mine", "flow": "a", "state": "waiting"}]}`)
		case r.URL.Path == "/v1/requests" && pool == "qwen" && r.URL.Query().Get("flow") == "a":
			fmt.Fprint(w, `{"requests": [{"id": "mine", "ticket": "mine", "flow": "a"}]}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	})
	for command, want := range map[string][]string{
		"status": {"== pool llama", "Pool qwen:"}, "top --once": {"== pool llama", "Pool qwen:"}, "usage": {"== pool llama", "== pool qwen"}, "flows": {"== pool qwen"},
		"endpoints": {"== pool qwen"}, "requests": {"== pool qwen"}, "overrides": {"== pool qwen"},
		"why mine": {"mine of a came"}, "why a": {"mine of a came"}, "evict mine": {"ended: mine of a"}, "status --json": {`"pools": { "llama":`}, "status --pool qwen": {"Pool qwen:"},
	} {
		out, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
		if err != nil {
			t.Errorf("weir %s: %v", command, err)
		}
		says(t, "weir "+command, out, want...)
	}
	if _, err := run(t, 10*time.Second, "evict", "nobody", "--admin", url); exitCode(err) != exitNotFound {
		t.Errorf("of no pool: %v", err)
	}
}

// TestWhyOfAFlowThatGoes wants no name of the fleet's own where what waited goes as it is looked
// at.
func TestWhyOfAFlowThatGoes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/requests":
			fmt.Fprint(w, `{"requests": [{"id": "x", "ticket": "weir-0:57", "flow": "a"}]}`)
		case "/v1/pools":
			fmt.Fprint(w, `{}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error": "no replica has a request \"weir-0:57\""}`)
		}
	}))
	defer server.Close()
	_, err := run(t, 10*time.Second, "why", "a", "--admin", server.URL)
	if exitCode(err) != exitUnreachable || strings.Contains(err.Error(), "weir-0:57") || !strings.Contains(err.Error(), `what waits of the flow "a" goes as fast as it is looked for`) {
		t.Errorf("code %d: %v", exitCode(err), err)
	}
}
