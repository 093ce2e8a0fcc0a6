package envoy_test

import (
	"context"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// live is a stream to which messages come as a test says, and on which nothing more comes
// until its context ends.
type live struct {
	rig.Tape
	more chan *extproc.ProcessingRequest
	sent chan *extproc.ProcessingResponse
}

func (l *live) Recv() (*extproc.ProcessingRequest, error) {
	select {
	case m := <-l.more:
		return m, nil
	case <-l.Ctx.Done():
		return nil, l.Ctx.Err()
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
			r := rig.With(t, 1, nil, func(cfg *rig.Config) {
				within := func(bound string) time.Duration { // only the one that it is to meet is short
					if bound == c.bound {
						return 100 * time.Millisecond
					}
					return time.Minute
				}
				rig.Bounded(flows.Timeouts{FirstByte: within("first_byte"), BetweenBytes: within("between_bytes")})(cfg)
				cfg.Envoy.BodyTimeout = within("body")
			}, rig.ModelServer(t))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			l := &live{Tape: rig.Tape{Ctx: ctx}, more: make(chan *extproc.ProcessingRequest, 10), sent: make(chan *extproc.ProcessingResponse, 10)}
			for _, m := range c.messages {
				l.more <- m
			}
			err := r.Envoy.Process(l)
			if ctx.Err() != nil {
				t.Fatal("it went on until its client left")
			}
			if status.Code(err) != c.code {
				t.Errorf("%v, want %v", err, c.code)
			}
			r.NothingHeld(t)
			if n := r.OverBound(t, c.bound); n != 1 {
				t.Errorf("%v requests beyond the bound, want 1", n)
			}
			if healthy := r.Pool.Endpoints().Endpoints()[0].Status().Healthy; healthy != c.healthy {
				t.Errorf("the server's health is %v", healthy)
			}
		})
	}
}
