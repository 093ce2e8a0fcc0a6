package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/gateway/flows"
)

// bounded gives all requests of a rig the timeouts.
func bounded(t flows.Timeouts) func(*rigConfig) {
	return func(c *rigConfig) { c.Rules.Timeouts = func(string, string) flows.Timeouts { return t } }
}

// over is how many requests went beyond a bound.
func (r *rig) over(t testing.TB, name string) float64 {
	t.Helper()
	return r.figure(t, "weir_requests_over_bound_total", "bound", name)
}

// TestClientsThatTakeNothing has clients read nothing of long answers: each loses its slot
// after a while, and others go on.
func TestClientsThatTakeNothing(t *testing.T) {
	chunk := "data: " + strings.Repeat("x", 32<<10) + "\n\n"
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Header.Get("X-Short") != "" {
			return
		}
		for range 1000 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(upstream.Close)
	r := newRigWith(t, 2, nil, bounded(flows.Timeouts{Client: 200 * time.Millisecond}), upstream.URL)
	for range 2 {
		r.begin(t, "POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\n\r\n{}")
	}
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	if res, body := r.post(t, "/v1/rerank", "{}", "X-Short", "yes"); res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if took := time.Since(began); took > 20*time.Second { // without the bound it would never end
		t.Errorf("it waited %v for clients that take nothing", took)
	}
	r.nothingHeld(t)
	if n := r.over(t, "client"); n != 2 {
		t.Errorf("%v requests ended for their clients, want 2", n)
	}
	for _, e := range r.pool.Endpoints().Endpoints() {
		if !e.Status().Healthy {
			t.Error("the server is held to be at fault")
		}
	}
}

// TestServersThatDoNotAnswer wants a server that does not answer, or stops in its answer, to
// lose the request and to be left out of the choice.
func TestServersThatDoNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		begins   bool
		timeouts flows.Timeouts
		bound    string
		healthy  bool
	}{
		"no first byte":    {false, flows.Timeouts{FirstByte: 100 * time.Millisecond}, "first_byte", false},
		"stops":            {true, flows.Timeouts{BetweenBytes: 100 * time.Millisecond}, "between_bytes", false},
		"goes on too long": {true, flows.Timeouts{Request: 100 * time.Millisecond}, "request", true},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.begins {
					_, _ = io.WriteString(w, "data: {}\n\n")
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(upstream.Close)
			r := newRigWith(t, 1, nil, bounded(c.timeouts), upstream.URL)
			began := time.Now()
			res, err := r.client.Post(r.url+"/v1/completions", "application/json", strings.NewReader(chat))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if c.begins && err == nil || !c.begins && res.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("%d %s, %v", res.StatusCode, body, err)
			}
			if took := time.Since(began); took > 20*time.Second { // without the bound it would never end
				t.Errorf("it took %v", took)
			}
			if strings.Contains(string(body), strings.TrimPrefix(upstream.URL, "http://")) {
				t.Errorf("the client is told of the server: %s", body)
			}
			r.nothingHeld(t)
			if n := r.over(t, c.bound); n != 1 {
				t.Errorf("%v requests beyond the bound, want 1", n)
			}
			if healthy := r.pool.Endpoints().Endpoints()[0].Status().Healthy; healthy != c.healthy {
				t.Errorf("the server's health is %v", healthy)
			}
		})
	}
}

// live is a stream to which messages come as a test says, and on which nothing more comes
// until its context ends.
type live struct {
	tape
	more chan *extproc.ProcessingRequest
	sent chan *extproc.ProcessingResponse
}

func (l *live) Recv() (*extproc.ProcessingRequest, error) {
	select {
	case m := <-l.more:
		return m, nil
	case <-l.ctx.Done():
		return nil, l.ctx.Err()
	}
}

func (l *live) Send(m *extproc.ProcessingResponse) error { l.sent <- m; return nil }

// TestSilentStreams wants a stream of external processing to end that does not say what it
// should, wherever it stops.
func TestSilentStreams(t *testing.T) {
	head := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{
		Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":method", Value: "GET"}, {Key: ":path", Value: "/v1/models"}}}, EndOfStream: true,
	}}}
	answer := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{}}}
	part := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte("x")}}}
	for name, c := range map[string]struct {
		messages []*extproc.ProcessingRequest
		code     codes.Code
		bound    string
		healthy  bool
	}{
		"nothing at all":     {nil, codes.DeadlineExceeded, "body", true},
		"no response":        {[]*extproc.ProcessingRequest{head}, codes.OK, "first_byte", false},
		"no response's body": {[]*extproc.ProcessingRequest{head, answer}, codes.OK, "first_byte", false},
		"a part of it":       {[]*extproc.ProcessingRequest{head, answer, part}, codes.OK, "between_bytes", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigWith(t, 1, nil, func(c *rigConfig) {
				bounded(flows.Timeouts{FirstByte: 100 * time.Millisecond, BetweenBytes: 100 * time.Millisecond})(c)
				c.Envoy.BodyTimeout = 100 * time.Millisecond
			}, newModelServer(t))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			l := &live{tape: tape{ctx: ctx}, more: make(chan *extproc.ProcessingRequest, 10), sent: make(chan *extproc.ProcessingResponse, 10)}
			for _, m := range c.messages {
				l.more <- m
			}
			err := r.envoy.Process(l)
			if ctx.Err() != nil {
				t.Fatal("it went on until its client left")
			}
			if status.Code(err) != c.code {
				t.Errorf("%v, want %v", err, c.code)
			}
			r.nothingHeld(t)
			if n := r.over(t, c.bound); n != 1 {
				t.Errorf("%v requests beyond the bound, want 1", n)
			}
			if healthy := r.pool.Endpoints().Endpoints()[0].Status().Healthy; healthy != c.healthy {
				t.Errorf("the server's health is %v", healthy)
			}
		})
	}
}
