package app

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

// refused answers with a status and what is wrong.
func refused(w http.ResponseWriter, status int, why string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error": %q}`, why)
}

// TestPoolGoes wants a pool that goes between the list and the question to be left out, and one
// that cannot answer to be named, beside what the others answer.
func TestPoolGoes(t *testing.T) {
	for status, c := range map[int]struct {
		code       int
		says, json string
	}{
		http.StatusNotFound:           {0, "", ""},
		http.StatusServiceUnavailable: {exitTrouble, "== pool llama trouble: the replica cannot answer: it is so", `"llama": "the replica cannot answer: it is so"`},
	} {
		url := several(t, func(w http.ResponseWriter, r *http.Request, pool string) {
			switch {
			case pool == "llama":
				refused(w, status, "it is so")
			case r.URL.Path == "/v1/pool":
				fmt.Fprint(w, `{"pool": "qwen", "endpoints": 1, "ledger": {"state": "connected"}}`)
			default:
				fmt.Fprint(w, `{}`)
			}
		})
		for command, want := range map[string]string{"status": "Pool qwen:", "top --once": "Pool qwen:", "flows": "No flow", "usage": "Used from", "overrides": "nothing is set"} {
			out, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
			code := 0
			if err != nil {
				code = exitCode(err)
			}
			if code != c.code || strings.Contains(out, "llama") != (c.says != "") {
				t.Errorf("weir %s where a pool answers %d: code %d, want %d: %v\n%s", command, status, code, c.code, err, out)
			}
			says(t, "weir "+command, out, "== pool qwen", want, c.says)
		}
		out, _ := run(t, 10*time.Second, "flows", "--json", "--admin", url)
		var report struct {
			Pools  map[string]api.Flows `json:"pools"`
			Failed map[string]string    `json:"failed"`
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Pools) != 1 {
			t.Errorf("weir flows --json: %v\n%s", err, out)
		}
		says(t, "weir flows --json", out, `"qwen":`, c.json)
		all := several(t, func(w http.ResponseWriter, _ *http.Request, _ string) { refused(w, status, "it is so") })
		want := map[int]int{http.StatusNotFound: exitNotFound, http.StatusServiceUnavailable: exitUnreachable}[status]
		if out, err := run(t, 10*time.Second, "status", "--admin", all); exitCode(err) != want {
			t.Errorf("all pools answer %d: code %d, want %d: %v\n%s", status, exitCode(err), want, err, out)
		}
	}
}

// TestRequestBehindAPoolThatFails wants a request to be found in a further pool, and the failure
// to be told where no other pool has it.
func TestRequestBehindAPoolThatFails(t *testing.T) {
	url := several(t, func(w http.ResponseWriter, r *http.Request, pool string) {
		switch {
		case pool == "llama":
			refused(w, http.StatusServiceUnavailable, "it is busy")
		case r.URL.Path == "/v1/requests/mine":
			fmt.Fprint(w, `{"id": "mine", "flow": "a", "state": "in_flight", "requests": [{"id": "mine", "flow": "a", "state": "waiting"}]}`)
		case r.URL.Path == "/v1/requests":
			fmt.Fprint(w, `{}`)
		default:
			refused(w, http.StatusNotFound, "none")
		}
	})
	for command, want := range map[string]string{"why mine": "== pool qwen mine of a came", "evict mine": "ended: mine of a"} {
		out, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
		if err != nil {
			t.Errorf("weir %s: %v", command, err)
		}
		says(t, "weir "+command, out, want)
	}
	for _, command := range []string{"why other", "evict other"} {
		_, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
		if exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "pool llama: the replica cannot answer: it is busy") {
			t.Errorf("weir %s: code %d, %v", command, exitCode(err), err)
		}
	}
}

// TestWhyOfAFlowInSeveralPools wants the request that has waited longest, in whichever pool, and
// the pool's name.
func TestWhyOfAFlowInSeveralPools(t *testing.T) {
	fails := false
	url := several(t, func(w http.ResponseWriter, r *http.Request, pool string) {
		at := map[string]string{"llama": "2026-11-26T12:00:09Z", "qwen": "2026-11-26T12:00:00Z"}[pool]
		request := fmt.Sprintf(`{"id": "of-%s", "ticket": "t-%s", "flow": "a", "state": "waiting", "arrived": %q}`, pool, pool, at)
		switch {
		case fails && pool == "llama":
			refused(w, http.StatusServiceUnavailable, "it is busy")
		case r.URL.Path == "/v1/requests":
			fmt.Fprintf(w, `{"requests": [%s]}`, request)
		case r.URL.Path == "/v1/requests/t-"+pool:
			fmt.Fprint(w, request)
		default:
			refused(w, http.StatusNotFound, "none")
		}
	})
	out, err := run(t, 10*time.Second, "why", "a", "--admin", url)
	if err != nil {
		t.Errorf("weir why a: %v", err)
	}
	says(t, "weir why a", out, "== pool qwen of-qwen of a")
	out, err = run(t, 10*time.Second, "why", "a", "--json", "--admin", url)
	if err != nil {
		t.Errorf("weir why a --json: %v", err)
	}
	says(t, "weir why a --json", out, `"pool": "qwen"`, `"id": "of-qwen"`)
	fails = true
	if out, err = run(t, 10*time.Second, "why", "a", "--admin", url); exitCode(err) != exitTrouble {
		t.Errorf("a pool fails: code %d, %v", exitCode(err), err)
	}
	says(t, "weir why a", out, "of-qwen of a", "pool llama: the replica cannot answer: it is busy")
}

// TestChangeThatNeverArrived wants "it may have been done" to be said only of what was sent.
func TestChangeThatNeverArrived(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says anything
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                                                              //nolint:errcheck // a test
	for scheme, perhaps := range map[string]bool{"http": true, "https": false} { // for TLS there is no connection before the other side speaks
		_, err := run(t, 2*time.Second, "unset", "flow", "x", "--admin", scheme+"://"+l.Addr().String())
		if exitCode(err) != exitUnreachable || strings.Contains(err.Error(), "may have been done") != perhaps {
			t.Errorf("%s: code %d, %v", scheme, exitCode(err), err)
		}
	}
}

// TestCompletionOfSeveralPools wants names of all pools to be offered, and each once.
func TestCompletionOfSeveralPools(t *testing.T) {
	url := several(t, func(w http.ResponseWriter, _ *http.Request, pool string) {
		fmt.Fprintf(w, `{"flows": [{"id": "of-%[1]s"}, {"id": "both"}], "endpoints": [{"name": "of-%[1]s"}, {"name": "both"}], "groups": [{"group": "of-%[1]s"}, {"group": "both"}]}`, pool)
	})
	for _, command := range []string{"why %s", "set flow %s", "set endpoint %s", "flows %s --group"} {
		for pool, want := range map[string]string{"": "both\nof-llama\nof-qwen\n:", "qwen": "both\nof-qwen\n:"} {
			flags := "--admin " + url
			if pool != "" {
				flags += " --pool " + pool
			}
			args := append([]string{"__complete"}, strings.Fields(fmt.Sprintf(command, flags))...)
			args = append(args, "")
			out, err := run(t, 10*time.Second, args...)
			if err != nil || !strings.HasPrefix(out, want) {
				t.Errorf("%q: %v, offered %q, want %q", args, err, out, want)
			}
		}
	}
}

// TestNextInLineIsSaid wants a request that waits in no queue to be told by when it goes.
func TestNextInLineIsSaid(t *testing.T) {
	const request = `"id": "mine", "ticket": "weir-1:1", "flow": "a", "state": "waiting", "in_line": true, "ingress": "weir-1"`
	url := admin(t, map[string]string{
		"/v1/requests":      `{"requests": [{` + request + `}, {"id": "other", "flow": "b", "state": "waiting", "ingress": "weir-0", "owner": "weir-2"}]}`,
		"/v1/requests/mine": `{` + request + `, "why": {"place": 1, "in_band": 5, "place_in_flow": 1, "reason": "it is next: it goes when a request of weir-1 ends"}}`,
	})
	for command, want := range map[string]string{"why mine": "; it is next: it goes when a request of weir-1 ends", "requests": "1 request is next: it goes when a request of weir-1 ends"} {
		out, err := run(t, 10*time.Second, append(strings.Fields(command), "--admin", url)...)
		if err != nil || strings.Contains(out, "place 1") {
			t.Errorf("weir %s: %v\n%s", command, err, out)
		}
		says(t, "weir "+command, out, want)
		fits(t, "weir "+command, out, 80)
	}
}
