package extproc

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// bench is an external processor with two model servers.
type bench struct {
	*Driver
	conn       *grpc.ClientConn
	controller *controller.Controller
	pool       *gateway.Pool
	delegation *envoy.Delegation // nil for none
	servers    [2]*httptest.Server
	release    chan struct{} // lets answers to "slow" go on
}

// echo answers with what it got: its path, headers and body, and a usage.
func (b *bench) echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if slow := r.Header.Get("x-slow"); slow != "" {
		if slow == "after headers" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		select {
		case <-b.release:
		case <-r.Context().Done():
			return
		}
	}
	if r.Header.Get("x-stream") != "" {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 5 {
			fmt.Fprintf(w, "data: {\"choices\":[%d]}\n\n", n)
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q,"flow":%q,"bytes":%d,"usage":{"prompt_tokens":3,"completion_tokens":5}}`,
		r.URL.Path, r.Header.Get("x-llm-d-inference-fairness-id"), len(body))
}

func newBench(t *testing.T, limit int, options ...controller.Option) *bench {
	t.Helper()
	return newBenchWith(t, limit, nil, options...)
}

// benchConfig configures a bench's gateway and its one pool.
type benchConfig struct {
	envoy.Config
	gateway.PoolConfig
}

// newBenchWith makes a bench whose gateway's configuration is changed before it is made.
func newBenchWith(t *testing.T, limit int, change func(*benchConfig), options ...controller.Option) *bench {
	t.Helper()
	return newBenchOn(t, memory.New(memory.Config{}), limit, change, options...)
}

// newBenchOn makes a bench on a ledger, which others may share.
func newBenchOn(t *testing.T, ledger store.Ledger, limit int, change func(*benchConfig), options ...controller.Option) *bench {
	t.Helper()
	b := &bench{release: make(chan struct{})}
	var upstreams []string
	for i := range b.servers {
		b.servers[i] = httptest.NewServer(http.HandlerFunc(b.echo))
		t.Cleanup(b.servers[i].Close)
		upstreams = append(upstreams, b.servers[i].URL)
	}
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
	if err != nil {
		t.Fatal(err)
	}
	b.controller, err = controller.NewController(ledger, append(options, controller.WithSaturationDetector(detector))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.controller.Close)
	source, err := endpoints.NewStatic(upstreams...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := benchConfig{envoy.Config{BodyTimeout: time.Second, Fallbacks: 2}, gateway.PoolConfig{
		Controller: b.controller, Endpoints: endpoints.Config{Source: source},
		Rules: flows.Rules{Priority: func(_, objective string) (int, bool) { return map[string]int{"batch": -1, "user": 1}[objective], true }},
	}}
	if change != nil {
		change(&cfg)
	}
	b.pool = gateway.NewPool(cfg.PoolConfig)
	t.Cleanup(b.pool.Close)
	g := gateway.New(gateway.Config{MaxBody: 1 << 20}, gateway.Only(b.pool))
	b.delegation = cfg.Delegation
	b.conn = dial(t, envoy.New(g, cfg.Config))
	b.Driver = New(b.conn)
	t.Cleanup(b.Close)
	return b
}

// dial serves an external processor and connects to it, until the test ends.
func dial(t testing.TB, p *envoy.Processor) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	p.Register(server)
	go func() { _ = server.Serve(l) }() // ends with Stop
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

const chat = `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":9}`

// post is a chat request with extra headers, as pairs.
func post(body [][]byte, headers ...string) Request {
	r := Request{Method: "POST", Path: "/v1/chat/completions", Headers: map[string]string{"content-type": "application/json"}, Body: body}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers[headers[i]] = headers[i+1]
	}
	return r
}

func whole(s string) [][]byte { return [][]byte{[]byte(s)} }

func (b *bench) idle(t *testing.T) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		v, err := b.controller.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v.InFlight == 0 && v.Waiting == 0 {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d in flight and %d waiting are left", v.InFlight, v.Waiting)
		}
	}
}
