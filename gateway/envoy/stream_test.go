package envoy_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/policies"
)

// TestWaitingTakesOneGoroutine wants a request that waits by external processing to have no
// goroutine but its stream's own, whose stack is most of what it costs beside its body.
func TestWaitingTakesOneGoroutine(t *testing.T) {
	processor, c := newProcessor(t, gateway.Config{}, envoy.Config{}, controller.WithLimit(1))
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
		p := &rig.Tape{Ctx: ctx, Messages: []*extproc.ProcessingRequest{
			{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
				{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte("/v1/completions")},
			}}}}},
			{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(rig.Chat), EndOfStream: true}}},
		}}
		streams.Go(func() {
			if err := processor.Process(p); err == nil {
				t.Error("a stream whose client went away ended well")
			}
		})
	}
	rig.Eventually(t, func() string {
		if c.Waiting() < n || runtime.NumGoroutine() > before+n {
			return fmt.Sprintf("%d of %d wait, with %d goroutines", c.Waiting(), n, runtime.NumGoroutine()-before)
		}
		return ""
	})
	cancel()
	streams.Wait()
}

// FuzzEnvoyStream plays whatever messages in whatever order: each byte of the order is
// one of the kinds, its high bit the end of the stream. Nothing is held at the end.
func FuzzEnvoyStream(f *testing.F) {
	processor, c := newProcessor(f, gateway.Config{MaxBody: 1 << 16}, envoy.Config{BodyTimeout: time.Second})
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
		p := &rig.Tape{Ctx: t.Context()}
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
			p.Messages = append(p.Messages, m)
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
			if time.Since(began) > 30*time.Second { // inputs are tried at the lowest priority
				t.Fatalf("%d in flight and %d waiting are left", v.InFlight, v.Waiting)
			}
		}
	})
}

// TestEscapedPaths wants a path that is written with escapes to be read as the servers do: a
// request to the API has its body read.
func TestEscapedPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/chat/%63ompletions": "malformed_json", "/v1/chat%2Fcompletions": "malformed_json", "/v1/chat/completions/": "malformed_json",
		"/v1/chat/completions%00": "bad_path", "/v1/%c0%ae%c0%ae/metrics": "bad_path",
	} {
		processor, _ := newProcessor(t, gateway.Config{}, envoy.Config{})
		p := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{
			{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
				{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte(path)},
			}}}}},
			rig.EnvoyBody("not json"),
		}}
		_ = processor.Process(p) // the tape ends before the answer
		if got := string(p.Last.GetImmediateResponse().GetBody()); !strings.Contains(got, want) {
			t.Errorf("%s: Envoy is answered %.200q, want %s", path, got, want)
		}
	}
}
