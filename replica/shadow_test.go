package replica_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
)

// TestShadowIsReloaded turns it off and on by the file, without a word of a restart.
func TestShadowIsReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	with := func(on string) { write(t, file, config.Empty+"weir: {shadow: "+on+"}\n") }
	with("true")
	r := start(t, file, nil)
	at := func(path, want string) func() bool {
		return func() bool {
			res, err := http.Get(r.admin + path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // it was only read
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(text), want)
		}
	}
	says := func(want string) func() bool { return at("/metrics", want) }
	if !at("/v1/pool", `"shadow": true`)() || !at("/v1/replicas", `"shadow": true`)() {
		t.Error("the API does not say that it is on")
	}
	if code := r.ask(t, "any"); code != http.StatusOK {
		t.Errorf("a request was answered %d", code)
	}
	within(t, 5*time.Second, "a request is played", says(`weir_shadow_requests_total{fairness_id="default-flow",outcome="Dispatched",priority="0",shadow="true"} 1`))
	with("false")
	within(t, 5*time.Second, "it holds", says("\nweir_shadow 0\n"))
	if !at("/v1/pool", `"shadow": false`)() {
		t.Error("the API says that it is on")
	}
	with("true")
	within(t, 5*time.Second, "it is played again", says("\nweir_shadow 1\n"))
	if logs := r.logs.FilterMessageSnippet("need a restart").All(); len(logs) > 0 {
		t.Errorf("%v", logs[0].Message)
	}
}
