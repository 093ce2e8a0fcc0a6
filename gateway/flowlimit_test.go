package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// TestFlowLimitIsNotFullQueue wants a tenant that is at its own limit to be told so, by
// HTTP as by Envoy: a full queue is everybody's, and another matter to mend.
func TestFlowLimitIsNotFullQueue(t *testing.T) {
	r := newRigWith(t, 10, []controller.Option{controller.WithLimits(func(policies.FlowKey) shard.Limit {
		return shard.Limit{MaxInFlight: 1, Reject: true}
	})}, nil, newModelServer(t))
	held := &controller.Request{Flow: policies.FlowKey{ID: "a"}}
	if _, err := r.control.EnqueueAndWait(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	defer r.control.Release(held, controller.Usage{})
	const body = `{"model":"m","messages":[]}`

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Llm-D-Inference-Fairness-Id", "a")
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // a test
	var object struct {
		Error struct{ Code, Message string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&object); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusTooManyRequests || object.Error.Code != "flow_limit" ||
		answer.Header.Get(DroppedReasonHeader) != "rejected-flow-limit" || !strings.Contains(object.Error.Message, "its own limit") {
		t.Errorf("by HTTP: %d, %s, %+v", answer.StatusCode, answer.Header.Get(DroppedReasonHeader), object.Error)
	}

	p := &tape{ctx: t.Context(), messages: []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
			{Key: ":method", Value: http.MethodPost},
			{Key: ":path", Value: "/v1/chat/completions"},
			{Key: "x-llm-d-inference-fairness-id", Value: "a"},
		}}}}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(body), EndOfStream: true}}},
	}}
	if err := NewExtProc(r.gateway).Process(p); err != nil {
		t.Fatal(err)
	}
	if said := string(p.last.GetImmediateResponse().GetBody()); !strings.Contains(said, `"flow_limit"`) {
		t.Errorf("by Envoy: %s", p.last)
	}
}
