package extproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies/eviction"
)

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
