package replica_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestNamedLocally asks the admin address on loopback, which asks for no token, by another name:
// a page of a browser on this machine could be there by that.
func TestNamedLocally(t *testing.T) {
	r := start(t, "", nil)
	for host, want := range map[string]int{"": http.StatusOK, "localhost:9090": http.StatusOK, "rebound.example:9090": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.admin+"/v1/pool", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want || want == http.StatusForbidden && !strings.Contains(string(text), "--admin-token-file") {
			t.Errorf("as %q: %d %s, want %d", host, res.StatusCode, text, want)
		}
	}
}
