package extproc

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weirflow/weir/gateway/flows"
)

// TestPickerKilled kills one of two pickers: requests go by the other, and answers that have
// begun go on.
func TestPickerKilled(t *testing.T) {
	first, second := StartPicker(t, "127.0.0.1:0"), StartPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, first.Address, second.Address)
	b.introduce(t, first, second) // not while one is still dialled
	for _, p := range []*Picker{first, second} {
		p.Set(func(p *Picker) { p.Said = nil })
	}
	var running sync.WaitGroup
	for range 4 { // two at each
		running.Go(func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "after headers", "x-stream", "yes"))
			if err != nil || res.Status != http.StatusOK || !strings.HasSuffix(string(res.Body), "data: [DONE]\n\n") {
				t.Errorf("an answer that had begun: %+v, %v", res, err)
			}
		})
	}
	for _, p := range []*Picker{first, second} {
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			begun := 0
			p.Set(func(p *Picker) {
				for _, m := range p.Said {
					if m.GetResponseHeaders() != nil {
						begun++
					}
				}
			})
			if begun == 2 {
				break
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d answers began at a picker, want 2", begun)
			}
		}
	}
	first.Server.Stop()
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
	first, second := StartPicker(t, "127.0.0.1:0"), StartPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, first.Address, second.Address)
	first.To, second.To = []string{b.server(0)}, []string{b.server(1)}
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
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%s: requests went to %v", what, seen)
			}
		}
	}
	until("both are there", "") // not while one is still dialled
	first.Health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until("the first is unwell", b.server(1))
	first.Health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	until("both are well", "")
	second.Health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until("the second is unwell", b.server(0))
}

// TestNoPicker wants 503 where no picker can be asked or answers, or Weir's own choice
// where that was asked for.
func TestNoPicker(t *testing.T) {
	for _, failOpen := range []bool{false, true} {
		for what, fails := range map[string]func(*Picker){
			"gone": func(p *Picker) { p.Server.Stop() },
			"silent": func(p *Picker) {
				p.Answers = func(*extproc.ProcessingRequest) []*extproc.ProcessingResponse { return nil }
			},
		} {
			t.Run(fmt.Sprintf("%s, fail open %v", what, failOpen), func(t *testing.T) {
				p := StartPicker(t, "127.0.0.1:0")
				b := before(t, 8, failOpen, p.Address)
				b.delegation.Timeout = 50 * time.Millisecond
				p.Set(fails)
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

// TestPickerStops has a picker stop within its answer to a request: the request ends with its
// time at pickers, at one of them, and the model server, which never got it, is not to blame.
func TestPickerStops(t *testing.T) {
	for what, stops := range map[string]func(*extproc.ProcessingRequest) bool{
		"before it answers": func(*extproc.ProcessingRequest) bool { return true },
		"before the body":   func(m *extproc.ProcessingRequest) bool { return m.GetRequestBody() != nil },
		"at the body's end": func(m *extproc.ProcessingRequest) bool { return m.GetRequestBody().GetEndOfStream() },
	} {
		t.Run(what, func(t *testing.T) {
			p := StartPicker(t, "127.0.0.1:0")
			b := beforeWith(t, 8, false, flows.Timeouts{FirstByte: 20 * time.Millisecond}, p.Address)
			b.delegation.Timeout = 200 * time.Millisecond
			p.Set(func(p *Picker) {
				p.To = []string{b.server(0)}
				p.Answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
					if stops(m) {
						return nil
					}
					return p.Answer(m)
				}
			})
			res, err := b.Do(t.Context(), post([][]byte{[]byte(chat[:10]), []byte(chat[10:])}))
			if err != nil || res.Status != http.StatusServiceUnavailable || res.Headers["x-llm-d-request-dropped-reason"] != "rejected-picker-unavailable" {
				t.Errorf("%+v, %v; want 503 for the picker", res, err)
			}
			p.Set(func(p *Picker) {
				if p.Streams != 1 {
					t.Errorf("%d streams at the picker, want 1: the time is the request's", p.Streams)
				}
			})
			for _, e := range b.pool.Endpoints().Endpoints() {
				if !e.Status().Healthy {
					t.Errorf("%s is taken for unwell", e.Address())
				}
			}
			b.idle(t)
		})
	}
}

// TestPickerComesBack wants a picker that was restarted to be asked again.
func TestPickerComesBack(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 8, false, p.Address)
	p.Server.Stop()
	if res, err := b.Do(t.Context(), post(whole(chat))); err != nil || res.Status != http.StatusServiceUnavailable {
		t.Fatalf("without a picker: %+v, %v", res, err)
	}
	again := StartPicker(t, p.Address)
	again.To = []string{b.server(1)}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res, err := b.Do(t.Context(), post(whole(chat)))
		if err == nil && res.Status == http.StatusOK {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%+v, %v", res, err)
		}
	}
}
