package integration

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestCommands runs the commands for operators against a replica at which one request is in
// flight and two wait, and against none.
func TestCommands(t *testing.T) {
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(upstream.Close)
	t.Cleanup(func() { close(release) })
	r := processes.Start(t, "r1", &processes.Servers{URLs: []string{upstream.URL}}, "--max-concurrency", "1")
	client := &api.Client{Address: r.Admin}
	for i, id := range []string{"first", "second", "third"} {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
			if err != nil {
				return
			}
			req.Header.Set("X-Request-Id", id)
			req.Header.Set("X-Llm-D-Inference-Fairness-Id", "acme")
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}()
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) { // one after the other
			all, err := client.Requests(t.Context(), api.Query{})
			if err == nil && all.Total == i+1 {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s is not there: %+v, %v", id, all, err)
			}
		}
	}
	weir := func(args ...string) (out string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), processes.Binary(), args...)
		cmd.Env = append(cmd.Environ(), "WEIR_ADMIN="+r.Admin)
		text, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(text)), " "), cmd.ProcessState.ExitCode() // wherever lines break
	}
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"status"}, 0, []string{"1 in flight, limit 1 (100%); 2 waiting", "r1", "connected"}},
		{[]string{"top", "--once"}, 0, []string{"2 waiting", "acme"}},
		{[]string{"flows"}, 0, []string{"acme"}},
		{[]string{"requests", "--state", "waiting"}, 0, []string{"second", "third"}},
		{[]string{"requests", "--state", "in_flight"}, 0, []string{"first", strings.TrimPrefix(upstream.URL, "http://")}},
		{[]string{"why", "third"}, 0, []string{"third of acme waits", "place 2 of 2 at priority 0", "in flight"}},
		{[]string{"why", "acme"}, 0, []string{"second of acme waits", "place 1 of 2"}},
		{[]string{"why", "first"}, 0, []string{"first of acme", "is in flight"}},
		{[]string{"why", "nobody"}, 3, []string{`no request "nobody" waits`}},
		{[]string{"shadow", "report"}, 3, []string{"no replica has played flow control"}},
		{[]string{"why"}, 1, []string{"name one request"}},
		{[]string{"overrides"}, 0, []string{"nothing is set"}},
		{[]string{"set", "flow", "acme", "--weight", "2", "--for", "1m"}, 1, []string{"status 403", "--admin-token-file"}},
		{[]string{"set", "flow", "acme", "--for", "1m"}, 1, []string{"weir set flow: say what is to be set: give at least one of --weight, --max-in-flight, --tokens-per-minute"}},
		{[]string{"status", "--admin", "127.0.0.1:1"}, 4, []string{"no replica answers at the admin address 127.0.0.1:1 (--admin, WEIR_ADMIN)"}},
	} {
		out, code := weir(c.args...)
		if code != c.code {
			t.Errorf("weir %s: code %d, want %d: %s", strings.Join(c.args, " "), code, c.code, out)
		}
		for _, want := range c.says {
			if !strings.Contains(out, want) {
				t.Errorf("weir %s does not say %q:\n%s", strings.Join(c.args, " "), want, out)
			}
		}
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a token"), 0o600); err != nil {
		t.Fatal(err)
	}
	guarded := processes.Start(t, "guarded", &processes.Servers{URLs: []string{upstream.URL}}, "--max-concurrency", "1", "--admin-token-file", token)
	for _, c := range []struct {
		command string
		code    int
		says    string
	}{
		{"set flow acme --weight 3 --max-in-flight 5 --for 10m --why hurry", 0, "flow acme weight 3, limit 5 in flight"},
		{"set endpoint nowhere --drain --for 1m", 3, "there are: " + strings.TrimPrefix(upstream.URL, "http://")},
		{"endpoints", 0, strings.TrimPrefix(upstream.URL, "http://") + " in use 0"},
		{"set endpoint " + upstream.URL + " --drain --for 1m", 0, "drained"},
		{"endpoints", 0, strings.TrimPrefix(upstream.URL, "http://") + " drained 0"},
		{"status", 2, "no model server can be used: 1 drained by an operator (weir overrides)"},
		{"overrides", 0, "hurry"},
		{"unset flow acme", 0, "endpoint 127.0.0.1:"},
		{"unset flow acme", 3, "nothing is set"},
		{"unset endpoint " + upstream.URL, 0, "nothing is set: all is as configured"},
		{"evict nobody", 3, "no replica has a request"},
		{"set flow acme --weight -1 --for 10m", 1, "weight -1: it must be above 0"},
		{"set flow acme --weight 1 --for 1000h", 1, "it must be from 1s to 168h, a week"},
	} {
		out, code := weir(append(strings.Fields(c.command), "--admin", guarded.Admin, "--admin-token-file", token)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("weir %s: code %d, want %d and %q:\n%s", c.command, code, c.code, c.says, out)
		}
	}
	var status struct {
		Pool struct {
			Queued int `json:"queued"`
		} `json:"pool"`
	}
	if out, _ := weir("status", "--json"); json.Unmarshal([]byte(out), &status) != nil || status.Pool.Queued != 2 {
		t.Errorf("weir status --json: %s", out)
	}
	if out, _ := weir("__complete", "why", "ac"); !strings.HasPrefix(out, "acme ") {
		t.Errorf("completion of a flow: %s", out)
	}
}
