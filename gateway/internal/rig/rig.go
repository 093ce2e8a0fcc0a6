package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/admin"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// Rig is a gateway of one pool with its controller, in front of model servers.
type Rig struct {
	URL     string // of the door by HTTP, without a path; empty as its Server and Client are, if there is none
	Server  *httptest.Server
	Client  *http.Client     // of Server
	Envoy   *envoy.Processor // the door by external processing
	Admin   *admin.Address
	Metrics prometheus.Gatherer
	Pool    *gateway.Pool
	Control *controller.Controller
}

// Config configures a rig's gateway, its one pool, and its door for Envoy.
type Config struct {
	gateway.Config
	gateway.PoolConfig
	Envoy      envoy.Config
	StuckAfter time.Duration
}

// New makes a rig whose pool takes so many requests in flight at each of the servers, which are
// named by their URLs. It ends with the test.
func New(t testing.TB, limit int, upstreams ...string) *Rig {
	t.Helper()
	return With(t, limit, nil, nil, upstreams...)
}

// With makes a rig with further options of its controller, and a gateway whose configuration is
// changed before it is made; either may be nil.
func With(t testing.TB, limit int, options []controller.Option, change func(*Config), upstreams ...string) *Rig {
	t.Helper()
	r, g := within(t, limit, options, change, upstreams...)
	byHTTP := proxy.New(g, proxy.Config{})
	server := httptest.NewServer(byHTTP)
	r.URL, r.Client, r.Server = server.URL, server.Client(), server
	t.Cleanup(func() {
		server.Close()
		byHTTP.Close()
	})
	return r
}

// Within is With but for the door by HTTP: all of it is within the process, and may be in a bubble of
// testing/synctest.
func Within(t testing.TB, limit int, options []controller.Option, change func(*Config), upstreams ...string) *Rig {
	t.Helper()
	r, _ := within(t, limit, options, change, upstreams...)
	return r
}

func within(t testing.TB, limit int, options []controller.Option, change func(*Config), upstreams ...string) (*Rig, *gateway.Gateway) {
	t.Helper()
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	pool := metrics.NewPool("test")
	process := metrics.NewProcess(pool)
	registry.MustRegister(pool, process)
	r := &Rig{Metrics: registry}
	options = append([]controller.Option{
		controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}),
		controller.WithSaturationDetector(detector),
		controller.WithObserver(pool), controller.WithTTL(time.Minute, 300*time.Millisecond),
	}, options...)
	r.Control, err = controller.NewController(memory.New(memory.Config{}), options...)
	if err != nil {
		t.Fatal(err)
	}
	pool.Watch(r.Control)
	source, err := endpoints.NewStatic(upstreams...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Config: gateway.Config{MaxBody: 1 << 16, Metrics: process}, PoolConfig: gateway.PoolConfig{
		Controller: r.Control, Endpoints: endpoints.Config{Source: source}, Metrics: pool,
		Rules: flows.Rules{Priority: func(_, objective string) (int, bool) {
			priority, declared := map[string]int{"urgent": 10, "sheddable": -1}[objective]
			return priority, declared
		}},
	}}
	if change != nil {
		change(&cfg)
	}
	r.Pool = gateway.NewPool(cfg.PoolConfig)
	g := gateway.New(cfg.Config, gateway.Only(r.Pool))
	pool.WatchEndpoints(r.Pool.Endpoints())
	r.Admin = admin.NewAddress(admin.AddressConfig{Responsive: r.Control.Responsive, StuckAfter: cfg.StuckAfter, Metrics: registry})
	r.Envoy = envoy.New(g, cfg.Envoy)
	t.Cleanup(func() {
		r.Pool.Close()
		r.Control.Close()
	})
	return r, g
}

// Post sends a request with headers, each a name and a value, and returns the answer and its
// whole body.
func (r *Rig) Post(t testing.TB, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(answer)
}

// View is what the controller has to show.
func (r *Rig) View(t testing.TB) core.View {
	t.Helper()
	v, err := r.Control.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Flows are the figures of all flows, by their ids.
func (r *Rig) Flows() map[string]flows.Figures {
	all := make(map[string]flows.Figures)
	r.Pool.Flows(func(key policies.FlowKey, f flows.Figures) { all[key.ID] = f })
	return all
}

// Settled are the figures of a flow once its requests have ended: a client may have read an
// answer to its end before the replica counts it.
func (r *Rig) Settled(t testing.TB, flow string) flows.Figures {
	t.Helper()
	var f flows.Figures
	Eventually(t, func() string {
		if f = r.Flows()[flow]; f.ServedRequests > 0 && f.InFlight == 0 {
			return ""
		}
		return fmt.Sprintf("%s has not ended: %+v", flow, f)
	})
	return f
}

// Eventually waits until nothing is missing: for much longer than it takes, since others may
// leave the machine little time.
func Eventually(t testing.TB, missing func() string) {
	t.Helper()
	const patience = 30 * time.Second
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		lacks := missing()
		if lacks == "" {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("after %v: %s", patience, lacks)
		}
	}
}

// Chat is the body of a plain request for a chat.
const Chat = `{"model":"simulated","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`

// NothingHeld waits for all memory and all of the replica's slots to be back, in the pool's count and
// at every endpoint.
func (r *Rig) NothingHeld(t testing.TB) {
	t.Helper()
	Eventually(t, func() string {
		held := 0
		for _, e := range r.Pool.Endpoints().Endpoints() {
			held += e.Status().InFlightHere
		}
		v, err := r.Control.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		memory := r.MemoryUsed(t)
		if held == 0 && v.InFlight == 0 && v.Waiting == 0 && memory == 0 {
			return ""
		}
		return fmt.Sprintf("%d in flight at endpoints, %d in the pool, %d waiting, %v bytes taken after the last request", held, v.InFlight, v.Waiting, memory)
	})
}
