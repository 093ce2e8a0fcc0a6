package extproc

import (
	"testing"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
)

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
