package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/policies/scheduling"
)

// TestClientComesBack wants a client that gives what an earlier answer told it to be served by
// the same server, and one that gives nothing by all of them.
func TestClientComesBack(t *testing.T) {
	var servers []string
	for n := range 4 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, n) }))
		t.Cleanup(server.Close)
		servers = append(servers, server.URL)
	}
	r := rig.With(t, 4, nil, func(c *rig.Config) {
		c.Endpoints.Profile = endpoints.LeastLoaded()
		c.Endpoints.Profile.Scorers = []endpoints.Weighted{{EndpointScorer: scheduling.NewSessionAffinity("s"), Weight: 1}}
	}, servers...)
	seen := make(map[string]bool)
	res, first := r.Post(t, "/v1/completions", rig.Chat)
	token := res.Header.Get(gateway.SessionHeader)
	if token == "" {
		t.Fatal("the answer does not say what to give")
	}
	for range 20 {
		if _, again := r.Post(t, "/v1/completions", rig.Chat, gateway.SessionHeader, token); again != first {
			t.Fatalf("a client of server %s came to %s", first, again)
		}
		_, any := r.Post(t, "/v1/completions", rig.Chat)
		seen[any] = true
	}
	if len(seen) < 2 {
		t.Errorf("those without a session all came to %v", seen)
	}
}

// TestClientsFillTheirServer has clients come back to a server until it has as many requests
// as it takes, and the next go to the other one: whatever loads are.
func TestClientsFillTheirServer(t *testing.T) {
	arrived, leave := make(chan int), make(chan struct{})
	var servers []string
	for n := range 2 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(gateway.SessionHeader) != "" {
				arrived <- n
				<-leave
			}
		}))
		t.Cleanup(server.Close)
		servers = append(servers, server.URL)
	}
	r := rig.With(t, 4, nil, func(c *rig.Config) {
		c.Endpoints.Profile = endpoints.LeastLoaded()
		c.Endpoints.Profile.Scorers = append(c.Endpoints.Profile.Scorers, endpoints.Weighted{EndpointScorer: scheduling.NewSessionAffinity("s"), Weight: 3})
	}, servers...)
	res, _ := r.Post(t, "/v1/completions", rig.Chat)
	token := res.Header.Get(gateway.SessionHeader)
	var clients sync.WaitGroup
	var went []int
	for range 6 {
		clients.Go(func() { r.Post(t, "/v1/completions", rig.Chat, gateway.SessionHeader, token) })
		went = append(went, <-arrived)
	}
	close(leave)
	clients.Wait()
	theirs := went[0]
	for i, at := range went {
		if (at == theirs) != (i < 4) {
			t.Errorf("six clients of one server, which takes four, went to %v", went)
			break
		}
	}
}
