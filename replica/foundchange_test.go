package replica_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
)

// TestFoundPoolStaysAsItWas edits InferencePools so that they cannot be pools any more: those that
// serve go on as they were, also when the file is read again, and are named, until they are mended
// or deleted.
func TestFoundPoolStaysAsItWas(t *testing.T) {
	t.Parallel() // it mostly waits
	server := newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := func(limit string) string {
		return config.Empty + "plugins: [{type: concurrency-detector, parameters: {maxConcurrency: " + limit + "}}]\nflowControl: {saturationDetector: {pluginRef: concurrency-detector}}\n"
	}
	write(t, file, text("4"))
	r, pools := startFound(t, file, server)
	status := func(model string) int {
		code, _ := r.post(t, model, "a")
		return code
	}
	phi, yi := kubernetes.Found{Namespace: "models", Name: "phi", Models: []string{"phi"}}, kubernetes.Found{Namespace: "models", Name: "yi", Models: []string{"yi"}}
	pools.pools <- []kubernetes.Found{phi, yi}
	eventually(t, "both serve", func() bool { return status("phi") == http.StatusOK && status("yi") == http.StatusOK })

	unreadable, greedy := phi, yi
	unreadable.Models, unreadable.Err = nil, errors.New("its target port is 0")
	greedy.Models = []string{"yi", "phi"}
	pools.pools <- []kubernetes.Found{greedy, unreadable}
	troubled := func() bool {
		_, told := r.get(t, "/v1/pools")
		return strings.Contains(told, "its target port is 0") && strings.Contains(told, `\"phi\" is a model of pool \"phi\", too`) && strings.Count(told, `"kept": true`) == 2
	}
	eventually(t, "both are named", troubled)
	limit := func(want string) func() bool {
		return func() bool {
			return r.says(t, "/v1/pool?pool=phi", `"limit": `+want) && r.says(t, "/v1/pool?pool=yi", `"limit": `+want)
		}
	}
	write(t, file, text("5"))
	eventually(t, "the file is read again", limit("5"))
	if !troubled() {
		t.Error("the trouble is forgotten once the file is read again")
	}
	if a, b := status("phi"), status("yi"); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("requests are answered %d and %d", a, b)
	}
	if n := r.logs.FilterMessageSnippet("leaves the configuration").Len(); n > 0 {
		t.Errorf("%d pools were ended", n)
	}

	phi.Models = []string{"phi-2"}
	pools.pools <- []kubernetes.Found{greedy, phi} // one makes room for the other, though it comes later
	eventually(t, "the model is with the other pool", func() bool {
		_, told := r.get(t, "/v1/pools")
		return !strings.Contains(told, "left_out") && status("phi") == http.StatusOK && status("phi-2") == http.StatusOK
	})
	pools.pools <- []kubernetes.Found{greedy, unreadable}
	eventually(t, "it is named again", func() bool { return r.says(t, "/v1/pools", "its target port is 0") })
	pools.pools <- []kubernetes.Found{greedy}
	eventually(t, "it is gone once it is deleted", func() bool { return status("phi-2") == http.StatusNotFound })
	pools.pools <- []kubernetes.Found{greedy, unreadable}
	eventually(t, "it is left out when it comes back", func() bool {
		return r.says(t, "/v1/pools", "its target port is 0") && !r.says(t, "/v1/pools", `"kept"`) && status("phi-2") == http.StatusNotFound
	})
}
