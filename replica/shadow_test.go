package replica_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
)

// TestShadowIsReloaded turns it off and on by the file, without a word of a restart.
func TestShadowIsReloaded(t *testing.T) {
	t.Parallel() // it mostly waits
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
	eventually(t, "a request is played", says(`weir_shadow_requests_total{fairness_id="default-flow",outcome="Dispatched",priority="0",shadow="true"} 1`))
	with("false")
	eventually(t, "it holds", says("\nweir_shadow 0\n"))
	if !at("/v1/pool", `"shadow": false`)() {
		t.Error("the API says that it is on")
	}
	with("true")
	eventually(t, "it is played again", says("\nweir_shadow 1\n"))
	for _, words := range []string{"shadow ended: requests are held and refused from now on", "shadow began: no request is held or refused from now on"} {
		if r.logs.FilterMessageSnippet(words).Len() != 1 || !at("/v1/events", words)() {
			t.Errorf("it is not told once: %s", words)
		}
	}
	write(t, file, config.Empty+"weir: {shadw: true}\n")
	eventually(t, "a refused configuration is told of", at("/v1/config", "a changed configuration was not taken over"))
	if !at("/v1/replicas", `"refused_config"`)() {
		t.Error("the replica is not said to have refused it")
	}
	with("false")
	eventually(t, "it is over with one that is good", func() bool { return !at("/v1/replicas", `"refused_config"`)() })
	if logs := r.logs.FilterMessageSnippet("needs a restart").All(); len(logs) > 0 {
		t.Errorf("%v", logs[0].Message)
	}
}
