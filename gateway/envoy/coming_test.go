package envoy_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/peer"

	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestRefusedWhileTheyCome has streams refused for memory before their first message, in the middle of the
// body and behind it, by their connection's address: those whose requests have not come in whole are
// answered, once, with when to come again.
func TestRefusedWhileTheyCome(t *testing.T) {
	head := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{
		Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":method", Value: "POST"}, {Key: ":path", Value: "/v1/chat/completions"}}},
	}}}
	part := func(text string, last bool) *extproc.ProcessingRequest {
		return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(text), EndOfStream: last}}}
	}
	for name, c := range map[string]struct {
		messages []*extproc.ProcessingRequest
		from     string
		refused  bool
	}{
		"nothing at all":     {nil, "192.0.2.1:1", true},
		"headers":            {[]*extproc.ProcessingRequest{head}, "192.0.2.1:1", true},
		"a part of the body": {[]*extproc.ProcessingRequest{head, part(rig.Chat[:5], false)}, "192.0.2.1:1", true},
		"all of it":          {[]*extproc.ProcessingRequest{head, part(rig.Chat, true)}, "192.0.2.1:1", false},
		"another connection": {[]*extproc.ProcessingRequest{head}, "192.0.2.1:2", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.With(t, 1, nil, nil, rig.ModelServer(t))
			ctx, cancel := context.WithTimeout(peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}), 20*time.Second)
			defer cancel()
			l := &live{Tape: rig.Tape{Ctx: ctx}, more: make(chan *extproc.ProcessingRequest), sent: make(chan *extproc.ProcessingResponse, 10)}
			ended := make(chan error, 1)
			go func() { ended <- r.Envoy.Process(l) }()
			for _, m := range c.messages {
				l.more <- m
			}
			if !c.refused {
				if name == "all of it" {
					<-l.sent // it is let go
				}
				if n := r.Envoy.Refuse(c.from, 5); n != 0 {
					t.Errorf("%d streams are refused, want none", n)
				}
				cancel()
				<-ended
				return
			}
			refused := 0
			for began := time.Now(); refused == 0 && time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
				refused = r.Envoy.Refuse(c.from, 5)
			}
			if err := <-ended; err != nil || refused != 1 || r.Envoy.Refuse(c.from, 5) != 0 {
				t.Errorf("%d streams were refused, which ended by %v, want 1", refused, err)
			}
			m := (<-l.sent).GetImmediateResponse()
			if int(m.GetStatus().GetCode()) != http.StatusServiceUnavailable || !strings.Contains(string(m.GetBody()), "memory_exhausted") || !strings.Contains(m.GetHeaders().String(), "retry-after") {
				t.Errorf("it is answered %v", m)
			}
			if n := r.OverBound(t, "memory"); n != 1 {
				t.Errorf("%v requests beyond the bound, want 1", n)
			}
			r.NothingHeld(t)
		})
	}
}
