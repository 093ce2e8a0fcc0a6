package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"

	driver "github.com/weirflow/weir/test/extproc"
	"github.com/weirflow/weir/test/processes"
)

// behindEnvoy starts three replicas before pickers, behind a real Envoy.
func behindEnvoy(t *testing.T, c *processes.Cluster, pickers ...string) (through *processes.Replica) {
	t.Helper()
	args := []string{"--ext-proc", "127.0.0.1:0"}
	for _, p := range pickers {
		args = append(args, "--picker", p)
	}
	var addresses []string
	for n := range 3 {
		addresses = append(addresses, c.Add(fmt.Sprint("r", n+1), args...).ExtProc)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	url, _ := startEnvoy(t, addresses)
	return &processes.Replica{ID: "envoy", URL: url}
}

// exact wants the pool to be used up to its limit and not beyond, evenly by the tenants.
func exact(t *testing.T, c *processes.Cluster, what string, l *processes.Load, tenants []string) {
	t.Helper()
	c.Servers.Peak.Store(0)
	began := time.Now()
	got := l.Next(500, tenants...)
	jain, peak := processes.Jain(got), c.Servers.Peak.Load()
	t.Logf("%s: 500 requests in %v, Jain index %.4f, at most %d of %d in flight", what, time.Since(began), jain, peak, processes.Limit)
	if jain < 0.99 || peak != processes.Limit {
		t.Errorf("%s: the tenants %v got %v requests, Jain index %.4f, %d in flight; want 0.99 and %d", what, tenants, got, jain, peak, processes.Limit)
	}
}

// hosts are the servers' hosts and ports.
func hosts(s *processes.Servers) (all []string) {
	for _, u := range s.URLs {
		all = append(all, strings.TrimPrefix(u, "http://"))
	}
	return all
}

// streamed has an answer stream through Envoy.
func streamed(t *testing.T, l *processes.Load, url string) {
	t.Helper()
	res, err := l.Client.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":20,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read to the end
	text, err := io.ReadAll(res.Body)
	if events := strings.Count(string(text), "data: "); err != nil || res.StatusCode != http.StatusOK || events < 20 {
		t.Errorf("a stream through Envoy: status %d, %d events, %v", res.StatusCode, events, err)
	}
}

// TestEnvoyBeforePickers puts three replicas between a real Envoy and plain pickers that know
// nothing of Weir, one of which is killed, and the other says 503 for a while.
func TestEnvoyBeforePickers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 0)
	first, second := driver.StartPlainPicker(t, hosts(c.Servers)...), driver.StartPlainPicker(t, hosts(c.Servers)...)
	through := behindEnvoy(t, c, first.Address, second.Address)
	for _, r := range c.Replicas {
		if !r.Says("serves no gRPC health checks", processes.Patience) {
			t.Errorf("%s does not say that a picker has no health checks", r.ID)
		}
		if r.Says("health check is unimplemented", 0) {
			t.Errorf("%s has gRPC speak for itself", r.ID)
		}
	}
	l, ctx := processes.StartLoad(t)
	tenants := []string{"a", "b", "c", "d"}
	for i, id := range tenants {
		l.Tenant(ctx, id, 12+24*i, through)
	}
	l.Next(200, tenants...)
	exact(t, c, "by plain pickers", l, tenants)
	streamed(t, l, through.URL)

	c.Stop(c.Replicas[2])
	c.Replicas = c.Replicas[:2]
	l.Next(200, tenants...)
	exact(t, c, "a replica left", l, tenants)
	c.NoneFailed("a replica left", l, nil)

	first.Server.Stop()
	l.Next(200, tenants...)
	exact(t, c, "a picker was killed", l, tenants)
	failed := len(l.Failed(nil))
	t.Logf("%d requests failed of those that the killed picker had half answered", failed)
	if failed > processes.Limit {
		t.Errorf("%d requests failed, %d were in flight", failed, processes.Limit)
	}

	refuse := func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
		if m.GetRequestHeaders() == nil {
			return second.Answer(m)
		}
		return []*extproc.ProcessingResponse{{Response: &extproc.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extproc.ImmediateResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable}, Body: []byte("no pods"),
		}}}}
	}
	second.Set(func(p *driver.Picker) { p.Answers = refuse })
	c.Wait("503 by the picker", processes.Patience, func() bool {
		return slices.ContainsFunc(tenants, func(id string) bool { return l.FailedOf(id)[http.StatusServiceUnavailable] > failed })
	})
	second.Set(func(p *driver.Picker) { p.Answers = nil })
	l.Next(200, tenants...)
	exact(t, c, "the picker serves again", l, tenants)
}

// TestEnvoyBeforeWeir has the replicas ask another Weir, which chooses.
func TestEnvoyBeforeWeir(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 0)
	behind := processes.Start(t, "behind", c.Servers, "--max-concurrency", "1000", "--ext-proc", "127.0.0.1:0")
	through := behindEnvoy(t, c, behind.ExtProc)
	l, ctx := processes.StartLoad(t)
	tenants := []string{"a", "b", "c", "d"}
	for i, id := range tenants {
		l.Tenant(ctx, id, 12+24*i, through)
	}
	l.Next(200, tenants...)
	exact(t, c, "by Weir as the picker", l, tenants)
	streamed(t, l, through.URL)
	c.NoneFailed("by Weir as the picker", l, nil)
}

// TestEnvoyGetsWhatThePickerSays compares what a model server gets and a client is answered by
// Envoy with a picker alone, and with Weir before the same picker: headers, bodies and trailers,
// to the byte.
func TestEnvoyGetsWhatThePickerSays(t *testing.T) {
	t.Parallel() // it mostly waits
	var mu sync.Mutex
	var got []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = append(got, fmt.Sprintf("%s %s %s\n%s\n%q\n%s", r.Method, r.Host, r.URL, listed(r.Header), body, listed(r.Trailer)))
		mu.Unlock()
		w.Header().Set("Trailer", "X-Checksum")
		w.Header().Set("Content-Type", "text/event-stream")
		for _, part := range []string{"data: {\"a\":1}\n\n", "data: {\"usage\":{\"prompt_tokens\":3,", "\"completion_tokens\":5}}\n\ndata: [DONE]\n\n"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Checksum", "\x80 as it is")
	}))
	plainHTTP2 := &http.Protocols{}
	plainHTTP2.SetUnencryptedHTTP2(true)
	server.Config.Protocols = plainHTTP2
	server.Start()
	t.Cleanup(server.Close)
	p := driver.StartPicker(t, "127.0.0.1:0")
	p.Set(func(p *driver.Picker) { p.To, p.Forgets = []string{strings.TrimPrefix(server.URL, "http://")}, true })
	weir := processes.Start(t, "r1", &processes.Servers{URLs: []string{server.URL}}, "--max-concurrency", "8", "--ext-proc", "127.0.0.1:0", "--picker", p.Address)
	client := &http.Client{Transport: &http.Transport{Protocols: plainHTTP2}}
	t.Cleanup(client.CloseIdleConnections)
	var answers []string
	for _, processor := range []string{p.Address, weir.ExtProc} {
		url, _ := startEnvoy(t, []string{processor}, func(config string) string {
			const cluster = "    lb_policy: CLUSTER_PROVIDED\n"
			if strings.Count(config, cluster) != 1 {
				t.Fatal("envoy.yaml is not as it was")
			}
			return strings.Replace(config, cluster, cluster+`    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`, 1)
		})
		for _, body := range []string{`{"model":"m","messages":[{"role":"user","content":"hi"}]}`, `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 200_000) + `"}]}`} {
			answers = append(answers, exchange(t, client, url, body))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	half := len(answers) / 2
	if len(got) != len(answers) || !strings.Contains(got[0], "X-Prefiller-Host-Port") || strings.Contains(got[0], "X-Secret") {
		t.Fatalf("the server got %d requests for %d, the first\n%s", len(got), len(answers), got[0])
	}
	if diff := cmp.Diff(got[:half], got[half:]); diff != "" {
		t.Errorf("the server gets something else with Weir: %s", diff)
	}
	if diff := cmp.Diff(answers[:half], answers[half:]); diff != "" {
		t.Errorf("the client gets something else with Weir: %s", diff)
	}
	if !strings.Contains(answers[0], "X-Went-Into-Resp-Headers") || !strings.Contains(answers[0], "X-Checksum") {
		t.Errorf("the picker's header or the server's trailer is missing:\n%s", answers[0])
	}
}

// exchange makes a request with trailers, and returns all of the answer.
func exchange(t *testing.T, client *http.Client, url, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions?a=b", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.Trailer = "pool.test", http.Header{"X-Signature": {"signed"}}
	req.Header.Set("X-Llm-D-Inference-Fairness-Id", "a")
	req.Header.Set("X-Secret", "s")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read to the end
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d\n%s\n%q\n%s", res.StatusCode, listed(res.Header), answer, listed(res.Trailer))
}

// listed is headers in order, without those that differ each time.
func listed(h http.Header) string {
	var lines []string
	for name, values := range h {
		switch name {
		case "Date", "X-Request-Id", "X-Envoy-Upstream-Service-Time":
		default:
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestEnvoyRewritesModels has a request name another model in a header, by Envoy and a replica
// that chooses itself: the server is asked for that one.
func TestEnvoyRewritesModels(t *testing.T) {
	t.Parallel() // it mostly waits
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- fmt.Sprintf("%s %q", body, r.Header.Get("X-Llm-D-Model-Name-Rewrite"))
	}))
	t.Cleanup(server.Close)
	weir := processes.Start(t, "r1", &processes.Servers{URLs: []string{server.URL}}, "--max-concurrency", "8", "--ext-proc", "127.0.0.1:0")
	url, _ := startEnvoy(t, []string{weir.ExtProc})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/completions", strings.NewReader(`{"model":"a","prompt":"hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Llm-D-Model-Name-Rewrite", "a-much-longer-name")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	if got, want := <-asked, `{"model":"a-much-longer-name","prompt":"hi"} ""`; got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
}
