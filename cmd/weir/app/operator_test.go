package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirflow/weir/gateway/admin/api"
)

// admin is an admin address that answers by path; what is not among the answers is an empty
// object.
func admin(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers[r.URL.Path] == "" {
			fmt.Fprint(w, "{}")
			return
		}
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestExitCodes wants scripts to tell from the code whether to ask again, or for something else.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		code   int
		says   string
	}{
		{http.StatusNotFound, exitNotFound, `no request "x" waits or is in flight, and nothing of a flow "x" waits`},
		{http.StatusGatewayTimeout, exitUnreachable, "the replica cannot answer: it is so"},
		{http.StatusServiceUnavailable, exitUnreachable, "the replica cannot answer: it is so"},
		{http.StatusBadRequest, 1, "the replica refuses with status 400: it is so"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.status == http.StatusNotFound && r.URL.Path == "/v1/requests" { // no such request, and none of such a flow
				fmt.Fprint(w, `{"requests": []}`)
				return
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, `{"error": "it is so"}`)
		}))
		_, err := run(t, 10*time.Second, "why", "x", "--admin", server.URL)
		server.Close()
		if err == nil || err.Error() != c.says || exitCode(err) != c.code {
			t.Errorf("status %d: code %d, %v", c.status, exitCode(err), err)
		}
	}
	silent := httptest.NewServer(http.NotFoundHandler())
	silent.Close()
	_, err := run(t, 10*time.Second, "status", "--admin", silent.URL)
	if exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "no replica answers at the admin address "+silent.URL) || errors.Unwrap(err) == nil {
		t.Errorf("code %d: %v", exitCode(err), err)
	}
}

// TestGroupsAreSeen wants groups to be where their flows are, and nothing of them where there
// are none.
func TestGroupsAreSeen(t *testing.T) {
	const group = `, "group": "acme/research"`
	answers := func(group string) map[string]string {
		shares := ""
		if group != "" {
			shares = `{"group": "acme/research", "weight": 2, "in_flight": 3, "queued": 4, "flows": 1, "share": 0.25, "entitled": 0.5}`
		}
		return map[string]string{
			"/v1/pool": `{"endpoints": 1, "ledger": {"state": "connected"}}`, "/v1/shares": `{"groups": [` + shares + `]}`,
			"/v1/flows": `{"total": 1, "flows": [{"id": "a-tenant-of-a-long-name", "weight": 1, "queued": 100000, "in_flight": 10000` + group + `}]}`,
			"/v1/usage": `{"from": "2026-11-26T18:00:00Z", "to": "2026-11-26T19:00:00Z", "usage": [{"flow": "a-tenant-of-a-long-name", "requests": 1000000000, "charged_tokens": 1000000000000, "tokens_in": 1000000000000, "tokens_out": 100000000000` + group + `}], "sum": {}}`,
		}
	}
	for _, group := range []string{"", group} {
		url := admin(t, answers(group))
		for _, command := range []string{"status", "flows", "top", "usage"} {
			out, err := run(t, 10*time.Second, command, "--admin", url)
			if err != nil || strings.Contains(out, "GROUP") != (group != "") || strings.Contains(out, "acme/research") != (group != "") {
				t.Errorf("group %q, weir %s: %v\n%s", group, command, err, out)
			}
			for line := range strings.Lines(out) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("weir %s: %d columns: %s", command, n, line)
				}
			}
		}
	}
}

// TestUsageSaysOfWhichTime wants whole hours to be told, whatever was asked for.
func TestUsageSaysOfWhichTime(t *testing.T) {
	url := admin(t, map[string]string{"/v1/usage": `{"from": "2026-11-26T18:00:00Z", "to": "2026-11-26T20:00:00Z", "sum": {"requests": 7}}`})
	out, err := run(t, 10*time.Second, "usage", "--last", "10m", "--admin", url)
	if err != nil || !strings.HasPrefix(out, "Used from 2026-11-26 18:00 until 2026-11-26 20:00 UTC, in whole hours\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := run(t, 10*time.Second, "usage", "--last", "-1h", "--admin", url); err == nil || !strings.Contains(err.Error(), "--last -1h: must be a time such as 1h") {
		t.Errorf("of a time to come: %v", err)
	}
}

// TestSetOfAnUnknownFlow wants a slip of the pen to be seen: what is set of a flow that nobody
// knows holds nothing.
func TestSetOfAnUnknownFlow(t *testing.T) {
	url := admin(t, map[string]string{
		"/v1/overrides": `{"overrides": [{"flow": "teama", "weight": 2}]}`, "/v1/flows": `{"total": 2, "flows": [{"id": "team-a"}, {"id": "batch"}]}`,
	})
	for flow, says := range map[string]string{
		"teama":  `no request of flow "teama" has come of late: what is set holds once one does; did you mean "team-a"?`,
		"qwerty": `no request of flow "qwerty" has come of late: what is set holds once one does`,
		"batch":  "",
	} {
		out, err := run(t, 10*time.Second, "set", "flow", flow, "--weight", "2", "--for", "10m", "--admin", url)
		words := strings.Join(strings.Fields(out), " ")
		if err != nil || says != "" && !strings.HasSuffix(words, says) || says == "" && strings.Contains(out, "no request of") {
			t.Errorf("%s: %v\n%s", flow, err, out)
		}
	}
}

// TestTextFits wants what commands say to be read in 80 columns and in 60, with nothing lost.
func TestTextFits(t *testing.T) {
	at := time.Date(2026, 11, 26, 18, 0, 0, 0, time.UTC)
	until := at.Add(time.Hour)
	for _, columns := range []int{60, 80} {
		for what, print := range map[string]func(io.Writer){
			"why": func(out io.Writer) {
				expected := int64(12_345)
				say(out, &api.RequestDetail{Request: api.Request{ID: "5f1c9a52-8d6e-4f3a-9f7e-0c2b7c1d9e10", Flow: "a-tenant-of-a-long-name", AgeMS: 61_000, Shadow: true}, Why: &api.Why{
					Reason: "1000 requests of higher priorities wait and go first; its priority has 3 in flight, and is guaranteed 1 slot", Place: 1234, InBand: 2345, PlaceInFlow: 12, ExpectedMS: &expected,
				}}, columns)
			},
			"shadow report": func(out io.Writer) {
				printShadow(out, &api.Shadow{Since: &at, Until: &until, All: api.ShadowFigures{Requests: 1_000_000, Dispatched: 900_000, WaitP50MS: 61_000, WaitP99MS: 61_000}, Flows: []api.ShadowFlow{
					{ID: "a-tenant-of-a-long-name", ShadowFigures: api.ShadowFigures{Requests: 1_000_000, Refused: 10_000, Evicted: 10_000, WaitMeanMS: 61_000, WaitP50MS: 61_000, WaitP99MS: 61_000}},
				}}, columns)
			},
			"status": func(out io.Writer) {
				v := overview{
					Pool:    &api.Pool{Pool: "a-pool-of-a-long-name", Endpoints: 100, EndpointsEjected: 100, Shadow: true, Ledger: api.Ledger{State: "registering", Members: 100, TurnMS: 12.345}},
					Trouble: []string{strings.Repeat("words of what is wrong ", 9)},
				}
				v.print(out, columns)
			},
			"an error": func(out io.Writer) {
				fmt.Fprintln(out, wrapped(explain(explained(&api.Client{Address: "weir-0.example.com:9090"}, errors.New("ask the replica: dial tcp: connection refused"))), columns, "  "))
			},
		} {
			var out strings.Builder
			print(&out)
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
					t.Errorf("%s at %d columns has %d: %s", what, columns, n, line)
				}
			}
		}
	}
	const long = "weir: /a/file/whose/name/is/longer/than/the/line.yaml:12: a b c d e f"
	if got := wrapped(long, 20, "  "); strings.Join(strings.Fields(got), " ") != long || !strings.HasSuffix(got, "\n  a b c d e f") {
		t.Errorf("%q", got)
	}
}
