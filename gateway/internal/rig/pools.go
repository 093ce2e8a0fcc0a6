package rig

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/store/memory"
)

// Pools is a gateway before two pools, each with the models that its name begins, and a
// server that answers with the pool's name.
type Pools struct {
	URL     string
	Envoy   *envoy.Processor
	Figures *metrics.Process
	Counts  map[string]*metrics.Pool
}

// NewPools puts the pools together, with Envoy's door as configured.
func NewPools(t *testing.T, byEnvoy envoy.Config) *Pools {
	t.Helper()
	r := &Pools{Figures: metrics.NewProcess(nil), Counts: make(map[string]*metrics.Pool)}
	pools := make(map[string]*gateway.Pool)
	for _, name := range []string{"llama", "qwen"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, name)
		}))
		t.Cleanup(server.Close)
		r.Counts[name] = metrics.NewPool(name)
		c, err := controller.NewController(memory.New(memory.Config{}), controller.WithLimit(4), controller.WithObserver(r.Counts[name]))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		source, err := endpoints.NewStatic(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		pools[name] = gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source}, Metrics: r.Counts[name]})
		t.Cleanup(pools[name].Close)
	}
	of := func(model string) (string, bool) {
		pool, _, _ := strings.Cut(model, "-")
		return pool, pools[pool] != nil
	}
	g := gateway.New(gateway.Config{Metrics: r.Figures}, gateway.ByModel(pools, of, []string{"qwen-2", "llama-3"}))
	r.Envoy = envoy.New(g, byEnvoy)
	byHTTP := proxy.New(g, proxy.Config{})
	t.Cleanup(byHTTP.Close)
	server := httptest.NewServer(byHTTP)
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}
