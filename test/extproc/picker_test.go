package extproc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/store/memory"
)

// before is a bench whose requests go through the pickers at the addresses.
func before(t *testing.T, limit int, failOpen bool, addresses ...string) *bench {
	t.Helper()
	return beforeWith(t, limit, failOpen, flows.Timeouts{}, addresses...)
}

// beforeWith is the same, with bounds on how long requests may hold their slots.
func beforeWith(t *testing.T, limit int, failOpen bool, bounds flows.Timeouts, addresses ...string) *bench {
	t.Helper()
	return beforePickers(t, limit, failOpen, bounds, picker.Config{Addresses: addresses})
}

// beforePickers is the same, with pickers that are found otherwise.
func beforePickers(t *testing.T, limit int, failOpen bool, bounds flows.Timeouts, cfg picker.Config) *bench {
	t.Helper()
	pickers, err := picker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pickers.Close)
	if err := pickers.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newBenchWith(t, limit, func(c *benchConfig) {
		c.BodyTimeout = time.Minute
		c.Rules.Timeouts = func(string, string) flows.Timeouts { return bounds }
		c.Delegation = &envoy.Delegation{Pickers: pickers, FailOpen: failOpen, Timeout: time.Minute}
	})
}

// server is the address of a model server of the bench.
func (b *bench) server(i int) string { return strings.TrimPrefix(b.servers[i].URL, "http://") }

// load waits until the fleet counts so many requests at the i-th endpoint.
func (b *bench) load(t *testing.T, i, want int) {
	t.Helper()
	for began := time.Now(); b.pool.Endpoints().At(b.server(i)).InFlight() != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d requests are counted at endpoint %d, want %d", b.pool.Endpoints().At(b.server(i)).InFlight(), i, want)
		}
	}
}

// TestPickerSeesAll wants a picker to get, message by message, what Envoy sends, and Envoy
// what the picker says, to the byte.
func TestPickerSeesAll(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, p.Address)
	p.To, p.Prefill = []string{b.server(1)}, b.server(0)
	request := post([][]byte{[]byte(chat[:10]), {}, []byte(chat[10:])}, "x-llm-d-inference-fairness-id", "a", "x-secret", "s")
	request.Trailers = true
	sent := request.messages()
	sent[0].Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{"request.path": structpb.NewStringValue("/")}}}
	sent = append(sent,
		&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{
			Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":status", RawValue: []byte("200")}, {Key: "content-type", RawValue: []byte("text/event-stream")}}},
		}}},
		&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte("data: {\"usa")}}},
		&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte("ge\":{\"prompt_tokens\":3,\"completion_tokens\":500}}\n\n")}}},
		&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extproc.HttpTrailers{
			Trailers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "grpc-status", RawValue: []byte("0")}}},
		}}},
	)
	want := make([]*extproc.ProcessingRequest, len(sent))
	for i, m := range sent {
		want[i] = proto.Clone(m).(*extproc.ProcessingRequest)
	}
	stream, err := extproc.NewExternalProcessorClient(b.conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var answers []*extproc.ProcessingResponse
	for i, m := range sent {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
		if i < 4 { // the request is held until its end
			continue
		}
		for len(answers) <= i {
			a, err := stream.Recv()
			if err != nil {
				t.Fatalf("after %d answers: %v", len(answers), err)
			}
			answers = append(answers, a)
		}
		if i >= 4 && i < len(sent)-1 { // it is where its prompt is read until the answer begins
			b.load(t, 1, 1)
			b.load(t, 0, map[bool]int{true: 1}[i == 4])
		}
	}
	if _, err := stream.Recv(); err != io.EOF { //nolint:errorlint // gRPC promises it as it is
		t.Errorf("after the last answer: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.Got) != len(want) || len(p.Said) != len(answers) {
		t.Fatalf("the picker got %d messages and said %d, want %d and %d", len(p.Got), len(p.Said), len(want), len(answers))
	}
	for i := range want {
		if !proto.Equal(p.Got[i], want[i]) {
			t.Errorf("message %d: the picker got\n%v, Envoy sent\n%v", i, p.Got[i], want[i])
		}
		if text, said := marshal(t, answers[i]), marshal(t, p.Said[i]); !bytes.Equal(text, said) {
			t.Errorf("answer %d: Envoy got\n%v, the picker said\n%v", i, answers[i], p.Said[i])
		}
	}
	b.load(t, 1, 0)
	b.idle(t)
}

// TestPickerNamesRank counts a request at the data-parallel rank that the picker chose, and not
// at the port of its host that it is sent to.
func TestPickerNamesRank(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, p.Address)
	p.To = []string{b.server(0)}
	p.Answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
		said := p.Answer(m)
		if r := said[0].GetRequestHeaders(); r != nil {
			r.Response.HeaderMutation.SetHeaders = append(r.Response.HeaderMutation.SetHeaders,
				&core.HeaderValueOption{Header: &core.HeaderValue{Key: "x-data-parallel-host-port", RawValue: []byte(b.server(1))}})
		}
		return said
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := extproc.NewExternalProcessorClient(b.conn).Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := post([][]byte{[]byte(chat)})
	for _, m := range request.messages() {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	b.load(t, 1, 1)
	b.load(t, 0, 0)
	cancel()
	b.idle(t)
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestPickersOrderings sends requests in all the ways that Envoy may, by a plain picker and
// by Weir itself as one.
func TestPickersOrderings(t *testing.T) {
	plain := StartPicker(t, "127.0.0.1:0")
	weir := newBench(t, 100)
	weirAddress := weir.conn.Target()[len("passthrough:///"):]
	for name, address := range map[string]string{"plain": plain.Address, "weir": weirAddress} {
		t.Run(name, func(t *testing.T) {
			b := before(t, 8, false, address)
			plain.Set(func(p *Picker) { p.To = []string{b.server(0)} })
			long := strings.Replace(chat, "hi", strings.Repeat("x", 300_000), 1)
			var chunks [][]byte
			for part := range slices.Chunk([]byte(long), 60_000) {
				chunks = append(chunks, part)
			}
			for what, r := range map[string]Request{
				"whole": post(whole(chat)), "streamed answer": post(whole(chat), "x-stream", "yes"),
				"many chunks": post(chunks), "empty end": {Method: "POST", Path: "/v1/chat/completions", Body: whole(chat), EmptyEnd: true},
				"trailers": {Method: "POST", Path: "/v1/chat/completions", Body: whole(chat), Trailers: true},
				"no body":  {Method: "GET", Path: "/v1/models"},
			} {
				res, err := b.Do(t.Context(), r)
				if err != nil || res.Status != http.StatusOK || res.Immediate {
					t.Errorf("%s: %+v, %v", what, res, err)
				}
			}
			b.idle(t)
			weir.idle(t)
		})
	}
}

// TestPickerRefuses wants an answer that the picker gives itself to be the client's, and the
// slot back.
func TestPickerRefuses(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 1, true, p.Address)
	p.Set(func(p *Picker) {
		p.Answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
			if !m.GetRequestBody().GetEndOfStream() {
				return nil
			}
			return []*extproc.ProcessingResponse{{Response: &extproc.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extproc.ImmediateResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable}, Body: []byte("no pods"), Details: "theirs",
			}}}}
		}
	})
	for range 3 {
		res, err := b.Do(t.Context(), post(whole(chat)))
		if err != nil || !res.Immediate || res.Status != http.StatusServiceUnavailable || string(res.Body) != "no pods" {
			t.Errorf("%+v, %v", res, err)
		}
		b.idle(t)
	}
}

// TestPickerHolds wants a request to reach the picker only once the pool has room for it.
func TestPickerHolds(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 1, false, p.Address) // for each of two servers
	p.To = []string{b.server(0)}
	var running sync.WaitGroup
	for range 5 {
		running.Go(func() {
			if res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "yes")); err != nil || res.Status != http.StatusOK {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	waiting := func(want int) {
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			v, err := b.controller.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v.Waiting == want {
				return
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d wait, want %d", v.Waiting, want)
			}
		}
	}
	waiting(3)
	b.load(t, 0, 2)
	for began, streams := time.Now(), 0; streams != 5; time.Sleep(time.Millisecond) {
		if p.Set(func(p *Picker) { streams = p.Streams }); time.Since(began) > 30*time.Second {
			t.Fatalf("%d streams are open at the picker for five requests", streams)
		}
	}
	p.Set(func(p *Picker) {
		headers := 0
		for _, m := range p.Got {
			if m.GetRequestHeaders() != nil {
				headers++
			}
		}
		if headers != 2 {
			t.Errorf("the picker was asked for %d requests while two may go", headers)
		}
	})
	close(b.release)
	running.Wait()
	b.idle(t)
}

// TestPickerBehindThree puts a plain picker behind three replicas that share a ledger: its
// servers never have more than the limit, and reach it.
func TestPickerBehindThree(t *testing.T) {
	const limit, requests = 12, 120
	p := StartPicker(t, "127.0.0.1:0")
	ledger := memory.New(memory.Config{})
	var now, most atomic.Int64
	full := make(chan struct{}) // closed once the server is
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-full
		now.Add(-1)
		fmt.Fprint(w, `{"usage":{"prompt_tokens":3,"completion_tokens":5}}`)
	}))
	t.Cleanup(model.Close)
	p.To = []string{strings.TrimPrefix(model.URL, "http://")}
	pickers, err := picker.New(picker.Config{Addresses: []string{p.Address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pickers.Close)
	if err := pickers.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	var drivers []*Driver
	for i := range 3 {
		b := newBenchOn(t, ledger, limit, func(c *benchConfig) {
			source, err := endpoints.NewStatic(model.URL)
			if err != nil {
				t.Fatal(err)
			}
			c.Endpoints.Source, c.Delegation = source, &envoy.Delegation{Pickers: pickers, Timeout: time.Minute}
			c.BodyTimeout = time.Minute
		}, controller.WithReplica(fmt.Sprint(i)))
		drivers = append(drivers, b.Driver)
	}
	var running sync.WaitGroup
	for i := range requests {
		running.Go(func() {
			if res, err := drivers[i%3].Do(t.Context(), post(whole(chat), "x-llm-d-inference-fairness-id", fmt.Sprint(i%5))); err != nil || res.Status != http.StatusOK {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	for began := time.Now(); now.Load() < limit; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			close(full)
			t.Fatalf("%d requests are at the server, want the limit of %d", now.Load(), limit)
		}
	}
	time.Sleep(100 * time.Millisecond) // for one too many to come
	close(full)
	running.Wait()
	if most.Load() != limit {
		t.Errorf("%d requests were at the server at once, want the limit of %d", most.Load(), limit)
	}
}
