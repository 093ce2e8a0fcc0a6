package extproc

import (
	"bytes"
	"fmt"
	"io"
	"net"
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/store/memory"
)

// otherPicker is an Endpoint Picker that knows nothing of Weir: a plain server of external
// processing, which records what it gets and says.
type otherPicker struct {
	extproc.UnimplementedExternalProcessorServer
	address string
	server  *grpc.Server
	health  *health.Server

	mu      sync.Mutex
	to      string                                                         // the endpoint it names
	answers func(*extproc.ProcessingRequest) []*extproc.ProcessingResponse // instead of its own; nil for these
	forgets bool                                                           // it records nothing
	got     []*extproc.ProcessingRequest
	said    []*extproc.ProcessingResponse
	streams int
}

func newOtherPicker(t testing.TB, address string) *otherPicker {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &otherPicker{address: l.Addr().String(), server: grpc.NewServer(), health: health.NewServer()}
	extproc.RegisterExternalProcessorServer(p.server, p)
	grpc_health_v1.RegisterHealthServer(p.server, p.health)
	go func() { _ = p.server.Serve(l) }() // ends with Stop
	t.Cleanup(p.server.Stop)
	return p
}

// Process implements the service.
func (p *otherPicker) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	p.mu.Lock()
	p.streams++
	p.mu.Unlock()
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // that is how streams end
		}
		p.mu.Lock()
		if !p.forgets {
			p.got = append(p.got, proto.Clone(m).(*extproc.ProcessingRequest))
		}
		answer := p.answer
		if p.answers != nil {
			answer = p.answers
		}
		said := answer(m)
		if !p.forgets {
			p.said = append(p.said, said...)
		}
		p.mu.Unlock()
		for _, a := range said {
			if err := stream.Send(a); err != nil {
				return err
			}
		}
	}
}

// answer changes the request and the response, and names the endpoint; what it says has
// more in it than Weir knows of.
func (p *otherPicker) answer(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
	set := func(key, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: key, RawValue: []byte(value)}, AppendAction: core.HeaderValueOption_ADD_IF_ABSENT}
	}
	one := &extproc.ProcessingResponse{}
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		one.Response = &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{
			HeaderMutation: &extproc.HeaderMutation{
				SetHeaders:    []*core.HeaderValueOption{set(Destination, p.to), set("x-prefiller-host-port", "10.9.9.9:1"), {Header: &core.HeaderValue{Key: "x-old", Value: "\x00\xff"[:1]}}},
				RemoveHeaders: []string{"x-secret"},
			},
			ClearRouteCache: true,
		}}}
		one.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
			"envoy.lb": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{Destination: structpb.NewStringValue(p.to), "scores": structpb.NewNumberValue(0.125)}}),
			"team":     structpb.NewStringValue("own"),
		}}
		one.OverrideMessageTimeout = durationpb.New(7 * time.Second)
	case *extproc.ProcessingRequest_RequestBody:
		one.Response = &extproc.ProcessingResponse_RequestBody{RequestBody: streamedBody(r.RequestBody.GetBody(), r.RequestBody.GetEndOfStream())}
	case *extproc.ProcessingRequest_RequestTrailers:
		one.Response = &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("x-checked", "yes")}}}}
	case *extproc.ProcessingRequest_ResponseHeaders:
		one.Response = &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{
			HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("x-went-into-resp-headers", "true")}},
		}}}
	case *extproc.ProcessingRequest_ResponseBody:
		one.Response = &extproc.ProcessingResponse_ResponseBody{ResponseBody: streamedBody(r.ResponseBody.GetBody(), r.ResponseBody.GetEndOfStream())}
	case *extproc.ProcessingRequest_ResponseTrailers:
		one.Response = &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}
	}
	return []*extproc.ProcessingResponse{one}
}

func streamedBody(body []byte, last bool) *extproc.BodyResponse {
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: &extproc.BodyMutation{
		Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{Body: body, EndOfStream: last}},
	}}}
}

// set changes what the picker does.
func (p *otherPicker) set(change func(*otherPicker)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// before is a bench whose requests go through the pickers at the addresses.
func before(t *testing.T, limit int, failOpen bool, addresses ...string) *bench {
	t.Helper()
	pickers, err := picker.New(picker.Config{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pickers.Close)
	if err := pickers.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newBenchWith(t, limit, func(c *benchConfig) {
		c.BodyTimeout = time.Minute
		c.Delegation = &gateway.Delegation{Pickers: pickers, FailOpen: failOpen, Timeout: time.Minute}
	})
}

// server is the address of a model server of the bench.
func (b *bench) server(i int) string { return strings.TrimPrefix(b.servers[i].URL, "http://") }

// loads waits until the fleet counts so many requests at the i-th endpoint.
func (b *bench) load(t *testing.T, i, want int) {
	t.Helper()
	for began := time.Now(); b.pool.Endpoints().At(b.server(i)).InFlight() != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%d requests are counted at endpoint %d, want %d", b.pool.Endpoints().At(b.server(i)).InFlight(), i, want)
		}
	}
}

// TestPickerSeesAll wants a picker to get, message by message, what Envoy sends, and Envoy
// what the picker says, to the byte.
func TestPickerSeesAll(t *testing.T) {
	p := newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, p.address)
	p.to = b.server(1)
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
		if i == 4 {
			b.load(t, 1, 1)
			b.load(t, 0, 0)
		}
	}
	if _, err := stream.Recv(); err != io.EOF { //nolint:errorlint // gRPC promises it as it is
		t.Errorf("after the last answer: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) != len(want) || len(p.said) != len(answers) {
		t.Fatalf("the picker got %d messages and said %d, want %d and %d", len(p.got), len(p.said), len(want), len(answers))
	}
	for i := range want {
		if !proto.Equal(p.got[i], want[i]) {
			t.Errorf("message %d: the picker got\n%v, Envoy sent\n%v", i, p.got[i], want[i])
		}
		if text, said := marshal(t, answers[i]), marshal(t, p.said[i]); !bytes.Equal(text, said) {
			t.Errorf("answer %d: Envoy got\n%v, the picker said\n%v", i, answers[i], p.said[i])
		}
	}
	b.load(t, 1, 0)
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
	plain := newOtherPicker(t, "127.0.0.1:0")
	weir := newBench(t, 100)
	weirAddress := weir.conn.Target()[len("passthrough:///"):]
	for name, address := range map[string]string{"plain": plain.address, "weir": weirAddress} {
		t.Run(name, func(t *testing.T) {
			b := before(t, 8, false, address)
			plain.set(func(p *otherPicker) { p.to = b.server(0) })
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
	p := newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 1, true, p.address)
	p.set(func(p *otherPicker) {
		p.answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
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
	p := newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 1, false, p.address) // for each of two servers
	p.to = b.server(0)
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
			if time.Since(began) > 5*time.Second {
				t.Fatalf("%d wait, want %d", v.Waiting, want)
			}
		}
	}
	waiting(3)
	b.load(t, 0, 2)
	for began, streams := time.Now(), 0; streams != 5; time.Sleep(time.Millisecond) {
		if p.set(func(p *otherPicker) { streams = p.streams }); time.Since(began) > 5*time.Second {
			t.Fatalf("%d streams are open at the picker for five requests", streams)
		}
	}
	p.set(func(p *otherPicker) {
		headers := 0
		for _, m := range p.got {
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

// TestPickerKilled kills one of two pickers: requests go by the other, and answers that have
// begun go on.
func TestPickerKilled(t *testing.T) {
	first, second := newOtherPicker(t, "127.0.0.1:0"), newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, first.address, second.address)
	first.to, second.to = b.server(0), b.server(0)
	var running sync.WaitGroup
	for range 4 { // two at each
		running.Go(func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "after headers", "x-stream", "yes"))
			if err != nil || res.Status != http.StatusOK || !strings.HasSuffix(string(res.Body), "data: [DONE]\n\n") {
				t.Errorf("an answer that had begun: %+v, %v", res, err)
			}
		})
	}
	for _, p := range []*otherPicker{first, second} {
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			begun := 0
			p.set(func(p *otherPicker) {
				for _, m := range p.said {
					if m.GetResponseHeaders() != nil {
						begun++
					}
				}
			})
			if begun == 2 {
				break
			}
			if time.Since(began) > 5*time.Second {
				t.Fatalf("%d answers began at a picker, want 2", begun)
			}
		}
	}
	first.server.Stop()
	close(b.release)
	running.Wait()
	for range 20 {
		if res, err := b.Do(t.Context(), post(whole(chat))); err != nil || res.Status != http.StatusOK || res.Immediate {
			t.Errorf("%+v, %v", res, err)
		}
	}
	b.idle(t)
}

// TestPickerIsUnwell takes a picker out of use that says so by its health, and has it back.
func TestPickerIsUnwell(t *testing.T) {
	first, second := newOtherPicker(t, "127.0.0.1:0"), newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, first.address, second.address)
	first.to, second.to = b.server(0), b.server(1)
	until := func(what, want string) {
		t.Helper()
		for began := time.Now(); ; {
			seen := make(map[string]bool)
			for range 4 {
				res, err := b.Do(t.Context(), post(whole(chat)))
				if err != nil || len(res.Endpoints) != 1 {
					t.Fatalf("%s: %+v, %v", what, res, err)
				}
				seen[res.Endpoints[0]] = true
			}
			if want == "" && len(seen) == 2 || want != "" && seen[want] && len(seen) == 1 {
				return
			}
			if time.Since(began) > 5*time.Second {
				t.Fatalf("%s: requests went to %v", what, seen)
			}
		}
	}
	until("both are there", "") // not while one is still dialled
	first.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until("the first is unwell", b.server(1))
	first.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	until("both are well", "")
	second.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until("the second is unwell", b.server(0))
}

// TestNoPicker wants 503 where no picker can be asked or answers, or Weir's own choice
// where that was asked for.
func TestNoPicker(t *testing.T) {
	for _, failOpen := range []bool{false, true} {
		for what, fails := range map[string]func(*otherPicker){
			"gone": func(p *otherPicker) { p.server.Stop() },
			"silent": func(p *otherPicker) {
				p.answers = func(*extproc.ProcessingRequest) []*extproc.ProcessingResponse { return nil }
			},
		} {
			t.Run(fmt.Sprintf("%s, fail open %v", what, failOpen), func(t *testing.T) {
				p := newOtherPicker(t, "127.0.0.1:0")
				b := before(t, 8, failOpen, p.address)
				b.delegation.Timeout = 50 * time.Millisecond
				p.set(fails)
				res, err := b.Do(t.Context(), post(whole(chat)))
				switch {
				case err != nil:
					t.Fatal(err)
				case failOpen && (res.Status != http.StatusOK || len(res.Endpoints) == 0):
					t.Errorf("%+v; want an endpoint that Weir chose", res)
				case !failOpen && (res.Status != http.StatusServiceUnavailable || res.Headers["x-llm-d-request-dropped-reason"] != "rejected-picker-unavailable"):
					t.Errorf("%+v; want 503", res)
				}
				b.idle(t)
			})
		}
	}
}

// TestPickerComesBack wants a picker that was restarted to be asked again.
func TestPickerComesBack(t *testing.T) {
	p := newOtherPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, p.address)
	p.server.Stop()
	if res, err := b.Do(t.Context(), post(whole(chat))); err != nil || res.Status != http.StatusServiceUnavailable {
		t.Fatalf("without a picker: %+v, %v", res, err)
	}
	again := newOtherPicker(t, p.address)
	again.to = b.server(1)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res, err := b.Do(t.Context(), post(whole(chat)))
		if err == nil && res.Status == http.StatusOK {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%+v, %v", res, err)
		}
	}
}

// TestAdmissionOnly wants requests to be let go without an endpoint, and with what the next
// filter needs.
func TestAdmissionOnly(t *testing.T) {
	b := newBenchWith(t, 8, func(c *benchConfig) { c.AdmissionOnly = true })
	stream, err := extproc.NewExternalProcessorClient(b.conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range (&Request{Method: "POST", Path: "/v1/chat/completions", Body: whole(chat)}).messages() {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	first, err := stream.Recv()
	if err != nil || first.GetRequestHeaders() == nil || first.GetDynamicMetadata() != nil || first.GetRequestHeaders().GetResponse().GetHeaderMutation() != nil {
		t.Fatalf("%v, %v; want headers as they are", first, err)
	}
	body, err := stream.Recv()
	if err != nil || string(body.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse().GetBody()) != chat {
		t.Fatalf("%v, %v; want the body", body, err)
	}
	if v, err := b.controller.View(t.Context()); err != nil || v.InFlight != 1 {
		t.Errorf("%d in flight, %v", v.InFlight, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	b.idle(t)
}

// TestPickerBehindThree puts a plain picker behind three replicas that share a ledger: its
// servers never have more than the limit, and reach it.
func TestPickerBehindThree(t *testing.T) {
	const limit, requests = 12, 120
	p := newOtherPicker(t, "127.0.0.1:0")
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
	p.to = strings.TrimPrefix(model.URL, "http://")
	pickers, err := picker.New(picker.Config{Addresses: []string{p.address}})
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
			c.Endpoints.Source, c.Delegation = source, &gateway.Delegation{Pickers: pickers, Timeout: time.Minute}
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
		if time.Since(began) > 10*time.Second {
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
