package gateway_test

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store/memory"
)

// tape is a stream that plays messages and takes answers.
type tape struct {
	grpc.ServerStream
	ctx      context.Context //nolint:containedctx // it is a stream's
	messages []*extproc.ProcessingRequest
	last     *extproc.ProcessingResponse // that was answered
}

func (t *tape) Context() context.Context { return t.ctx }
func (t *tape) Send(m *extproc.ProcessingResponse) error {
	t.last = m
	_, err := proto.Marshal(m)
	return err
}

func (t *tape) Recv() (*extproc.ProcessingRequest, error) {
	if len(t.messages) == 0 {
		return nil, io.EOF
	}
	m := t.messages[0]
	t.messages = t.messages[1:]
	return m, nil
}

// TestWaitingTakesOneGoroutine wants a request that waits by external processing to have no
// goroutine but its stream's own, whose stack is most of what it costs beside its body.
func TestWaitingTakesOneGoroutine(t *testing.T) {
	c, err := controller.NewController(memory.New(memory.Config{}), controller.WithLimit(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	source, err := endpoints.NewStatic("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	p := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source}})
	defer p.Close()
	processor := envoy.New(gateway.New(gateway.Config{}, gateway.Only(p)), envoy.Config{})
	held := &controller.Request{Flow: policies.FlowKey{ID: "held"}}
	if _, err := c.EnqueueAndWait(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	defer c.Release(held, controller.Usage{})
	const n = 20
	ctx, cancel := context.WithCancel(t.Context())
	var streams sync.WaitGroup
	before := runtime.NumGoroutine()
	for range n {
		p := &tape{ctx: ctx, messages: []*extproc.ProcessingRequest{
			{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
				{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte("/v1/completions")},
			}}}}},
			{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(chat), EndOfStream: true}}},
		}}
		streams.Go(func() {
			if err := processor.Process(p); err == nil {
				t.Error("a stream whose client went away ended well")
			}
		})
	}
	for began := time.Now(); c.Waiting() < n || runtime.NumGoroutine() > before+n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Errorf("%d of %d wait, with %d goroutines", c.Waiting(), n, runtime.NumGoroutine()-before)
			break
		}
	}
	cancel()
	streams.Wait()
}

// FuzzEnvoyStream plays whatever messages in whatever order: each byte of the order is
// one of the kinds, its high bit the end of the stream. Nothing is held at the end.
func FuzzEnvoyStream(f *testing.F) {
	c, err := controller.NewController(memory.New(memory.Config{}))
	if err != nil {
		f.Fatal(err)
	}
	defer c.Close()
	source, err := endpoints.NewStatic("http://127.0.0.1:1")
	if err != nil {
		f.Fatal(err)
	}
	p := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source}})
	defer p.Close()
	processor := envoy.New(gateway.New(gateway.Config{MaxBody: 1 << 16}, gateway.Only(p)), envoy.Config{BodyTimeout: time.Second})
	headers, err := proto.Marshal(&extproc.HttpHeaders{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0x81, 3, 0x84}, headers, []byte(`{"model":"m"}`))
	f.Add([]byte{0x80, 3, 4, 5}, headers, []byte("data: {}\n"))
	f.Add([]byte{0, 1, 2, 3, 5}, headers, []byte{})
	f.Fuzz(func(t *testing.T, order, head, body []byte) {
		var h extproc.HttpHeaders
		if proto.Unmarshal(head, &h) != nil {
			return
		}
		p := &tape{ctx: t.Context()}
		for _, b := range order[:min(len(order), 50)] {
			last := b&0x80 != 0
			ended := proto.Clone(&h).(*extproc.HttpHeaders)
			ended.EndOfStream = last
			m := &extproc.ProcessingRequest{}
			switch b & 0x7f % 7 {
			case 0:
				m.Request = &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: ended}
			case 1:
				m.Request = &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: body, EndOfStream: last}}
			case 2:
				m.Request = &extproc.ProcessingRequest_RequestTrailers{RequestTrailers: &extproc.HttpTrailers{}}
			case 3:
				m.Request = &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: ended}
			case 4:
				m.Request = &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: body, EndOfStream: last}}
			case 5:
				m.Request = &extproc.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extproc.HttpTrailers{}}
			}
			p.messages = append(p.messages, m)
		}
		_ = processor.Process(p)
		for began := time.Now(); ; time.Sleep(time.Microsecond) {
			v, err := c.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v.InFlight == 0 && v.Waiting == 0 {
				return
			}
			if time.Since(began) > time.Second {
				t.Fatalf("%d in flight and %d waiting are left", v.InFlight, v.Waiting)
			}
		}
	})
}
