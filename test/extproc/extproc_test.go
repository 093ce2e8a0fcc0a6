package extproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies/eviction"
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
	cfg := benchConfig{envoy.Config{BodyTimeout: 300 * time.Millisecond, Fallbacks: 2}, gateway.PoolConfig{
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

// TestOrderings sends requests in every way that Envoy may.
func TestOrderings(t *testing.T) {
	b := newBench(t, 100)
	large := strings.Replace(chat, "hi", strings.Repeat("x", 300_000), 1)
	var bytewise, thousands [][]byte
	for i := range len(chat) {
		bytewise = append(bytewise, []byte{chat[i]})
	}
	for rest := []byte(large); len(rest) > 0; {
		n := min(1000, len(rest))
		thousands, rest = append(thousands, rest[:n]), rest[n:]
	}
	with := func(r Request, change func(*Request)) Request {
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		request Request
		bytes   int
	}{
		"one chunk":         {post(whole(chat)), len(chat)},
		"byte by byte":      {post(bytewise), len(chat)},
		"large":             {post(thousands), len(large)},
		"an empty end":      {with(post(whole(chat)), func(r *Request) { r.EmptyEnd = true }), len(chat)},
		"trailers":          {with(post(whole(chat)), func(r *Request) { r.Trailers = true }), len(chat)},
		"large, trailers":   {with(post(thousands), func(r *Request) { r.Trailers = true }), len(large)},
		"empty, trailers":   {with(post(whole(chat)), func(r *Request) { r.EmptyEnd, r.Trailers = true, true }), len(chat)},
		"headers only":      {Request{Method: "GET", Path: "/v1/models?x=1"}, 0},
		"headers, trailers": {Request{Method: "GET", Path: "/v1/models", Trailers: true}, 0},
		"body of nothing":   {Request{Method: "POST", Path: "/v1/other", EmptyEnd: true}, 0},
		"not UTF-8":         {post(whole(chat), "x-odd", "\xff\xfe"), len(chat)},
		"one endpoint only": {with(post(whole(chat)), func(r *Request) { r.Subset = []string{b.servers[1].Listener.Addr().String()} }), len(chat)},
	} {
		t.Run(name, func(t *testing.T) {
			c.request.Headers = map[string]string{"x-llm-d-inference-fairness-id": "me", "content-type": "application/json", "x-odd": c.request.Headers["x-odd"]}
			res, err := b.Do(t.Context(), c.request)
			if err != nil {
				t.Fatal(err)
			}
			path, _, _ := strings.Cut(c.request.Path, "?")
			want := fmt.Sprintf(`"path":%q,"flow":"","bytes":%d`, path, c.bytes)
			if res.Status != 200 || !bytes.Contains(res.Body, []byte(want)) {
				t.Errorf("status %d, %.200s; want %s", res.Status, res.Body, want)
			}
			if c.request.Subset != nil && (len(res.Endpoints) != 1 || res.Endpoints[0] != c.request.Subset[0]) {
				t.Errorf("endpoints %v of the subset %v", res.Endpoints, c.request.Subset)
			}
			if c.request.Subset == nil && len(res.Endpoints) != 2 {
				t.Errorf("endpoints %v, want one and one to turn to", res.Endpoints)
			}
			b.idle(t)
		})
	}
}

// TestRefusals wants answers for the client, and no slot taken.
func TestRefusals(t *testing.T) {
	b := newBench(t, 100)
	many := post(whole(chat))
	for i := range 10_000 {
		many.Headers[fmt.Sprint("x-", i)] = "v"
	}
	for name, c := range map[string]struct {
		request Request
		status  int
		code    string
	}{
		"not JSON":       {post(whole("{")), 400, "malformed_json"},
		"no model":       {post(whole("{}")), 400, "model_required"},
		"bad flow":       {post(whole(chat), "x-llm-d-inference-fairness-id", "\x01"), 400, "bad_flow_id"},
		"too large":      {post([][]byte{make([]byte, 1<<20), []byte("more")}), 413, "body_too_large"},
		"10,000 headers": {many, 431, "headers_too_large"},
		"nobody left":    {Request{Method: "GET", Path: "/v1/models", Subset: []string{"192.0.2.1:1"}}, 503, "no_endpoints"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := b.Do(t.Context(), c.request)
			if err != nil {
				t.Fatal(err)
			}
			if !res.Immediate || res.Status != c.status || !bytes.Contains(res.Body, []byte(c.code)) || res.Headers["content-type"] != "application/json" {
				t.Errorf("%+v, %s; want %d %s", res, res.Body, c.status, c.code)
			}
			b.idle(t)
		})
	}
}

// TestStreams passes an event stream through and reads its usage.
func TestStreams(t *testing.T) {
	b := newBench(t, 100)
	res, err := b.Do(t.Context(), post(whole(chat), "x-stream", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(res.Body, []byte("data:")); res.Status != 200 || n != 7 {
		t.Errorf("status %d, %d events: %s", res.Status, n, res.Body)
	}
}

// dead closes one of the bench's servers, and returns the addresses of both.
func (b *bench) dead() (dead, alive string) {
	b.servers[0].Close()
	return b.servers[0].Listener.Addr().String(), b.servers[1].Listener.Addr().String()
}

// ejected wants the dead one ejected and the other not.
func (b *bench) ejected(t *testing.T, dead string) {
	t.Helper()
	for _, e := range b.pool.Endpoints().Endpoints() {
		if s := e.Status(); s.Healthy != (e.Address() != dead) {
			t.Errorf("%s is healthy: %v", e.Address(), s.Healthy)
		}
	}
	only := post(whole(chat))
	only.Subset = []string{dead}
	if res, err := b.Do(t.Context(), only); err != nil || !res.Immediate || !bytes.Contains(res.Body, []byte("no_endpoints")) {
		t.Errorf("a request to the ejected one only: %+v, %v", res, err)
	}
	b.idle(t)
}

// TestTurnedTo counts requests at the endpoint that answered in the end, and ejects the
// one that Envoy turned from.
func TestTurnedTo(t *testing.T) {
	b := newBench(t, 100)
	dead, alive := b.dead()
	ended := make(chan error)
	for range 2 { // one of them is sent to the dead one first
		go func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "after headers"))
			if err == nil && res.Status != http.StatusOK {
				err = fmt.Errorf("status %d", res.Status)
			}
			ended <- err
		}()
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		at := make(map[string]int)
		for _, e := range b.pool.Endpoints().Endpoints() {
			at[e.Address()] = e.InFlight()
		}
		if at[alive] == 2 && at[dead] == 0 {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("in flight: %v, both are at %s", at, alive)
		}
	}
	close(b.release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	b.ejected(t, dead)
}

// TestUnreachable ejects an endpoint where Envoy answers itself because it could not
// connect.
func TestUnreachable(t *testing.T) {
	b := newBench(t, 100)
	dead, _ := b.dead()
	only := post(whole(chat))
	only.Subset = []string{dead}
	if res, err := b.Do(t.Context(), only); err != nil || res.Status != http.StatusServiceUnavailable || res.Immediate {
		t.Fatalf("a request to the dead one only: %+v, %v", res, err)
	}
	b.ejected(t, dead)
}

// TestClientGone hangs up while a request waits, and while its answer comes.
func TestClientGone(t *testing.T) {
	b := newBench(t, 1)
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	for range 3 { // two run, one waits
		go func() {
			_, err := b.Do(ctx, post(whole(chat), "x-slow", "1"))
			ended <- err
		}()
	}
	for {
		v, err := b.controller.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v.InFlight == 2 && v.Waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	hangUp()
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("a request was answered after its client hung up")
		}
	}
	b.idle(t)
}

// TestRevoked ends a sheddable request for an important one.
func TestRevoked(t *testing.T) {
	b := newBench(t, 1, controller.WithEviction(eviction.NewSheddable("f"), eviction.NewPriorityThenTime("o")))
	ended := make(chan *Response, 2)
	for range 2 {
		go func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "1", "x-llm-d-inference-objective", "batch"))
			if err != nil {
				t.Error(err)
			}
			ended <- res
		}()
	}
	for full := false; !full; time.Sleep(time.Millisecond) {
		v, err := b.controller.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		full = v.InFlight == 2
	}
	res, err := b.Do(t.Context(), post(whole(chat), "x-llm-d-inference-objective", "user"))
	if err != nil || res.Status != 200 {
		t.Fatalf("the important one: %+v, %v", res, err)
	}
	close(b.release)
	statuses := make(map[string]int)
	for range 2 {
		r := <-ended
		statuses[fmt.Sprint(r.Status, r.Headers["x-llm-d-request-dropped-reason"])]++
	}
	if statuses["429evicted"] != 1 || statuses["200"] != 1 {
		t.Errorf("the sheddable ones ended so: %v", statuses)
	}
}

// TestProtocolErrors sends what Envoy never does.
func TestProtocolErrors(t *testing.T) {
	b := newBench(t, 100)
	headers := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{}}}}
	body := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{}}}
	response := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{}}}
	for name, messages := range map[string][]*extproc.ProcessingRequest{
		"a body first":      {body},
		"headers twice":     {headers, headers},
		"a response first":  {response},
		"a response early":  {headers, response},
		"a message of none": {{}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := extproc.NewExternalProcessorClient(b.conn).Process(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				_ = stream.Send(m) // it may be over
			}
			if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v, want InvalidArgument", err)
			}
		})
	}
	t.Run("a body that stalls", func(t *testing.T) {
		stream, err := extproc.NewExternalProcessorClient(b.conn).Process(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(headers); err != nil {
			t.Fatal(err)
		}
		m, err := stream.Recv()
		if err != nil || m.GetImmediateResponse().GetStatus().GetCode() != http.StatusRequestTimeout {
			t.Errorf("%v, %v, want an answer of 408", m, err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after that: %v", err)
		}
	})
}
