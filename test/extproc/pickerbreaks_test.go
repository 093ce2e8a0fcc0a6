package extproc

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// TestPickersBreakStreams has three of four pickers break each stream, while they are connected: few
// requests are put to them, and they are asked again once they answer.
func TestPickersBreakStreams(t *testing.T) {
	var breaks atomic.Bool
	var broken atomic.Int64
	breaking := grpc.StreamInterceptor(func(to any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if breaks.Load() {
			broken.Add(1)
			return status.Error(codes.Unavailable, "not here")
		}
		return handler(to, stream)
	})
	well := startPicker(t, "127.0.0.1:0", nil)
	all := []*Picker{well}
	addresses := []string{well.Address}
	for range 3 {
		p := startPicker(t, "127.0.0.1:0", nil, breaking)
		all, addresses = append(all, p), append(addresses, p.Address)
	}
	b := before(t, 64, false, addresses...)
	b.introduce(t, all...)
	breaks.Store(true)
	const callers = 8
	var refused atomic.Int64
	var asking sync.WaitGroup
	for range callers {
		asking.Go(func() {
			for range 50 {
				if res, err := b.Do(t.Context(), post(whole(chat))); err != nil || res.Status != http.StatusOK || res.Immediate {
					refused.Add(1)
				}
			}
		})
	}
	asking.Wait()
	t.Logf("%d requests were refused, %d streams broken", refused.Load(), broken.Load())
	// A request is refused once three of its streams broke. A picker breaks three until it is out of use, and
	// as many as were asked meanwhile.
	if most := int64(3+callers) * 3 / 3; refused.Load() > most {
		t.Errorf("%d of %d requests were refused, want %d at most: one picker answers", refused.Load(), callers*50, most)
	}
	breaks.Store(false)
	asked := func() int { return all[1].asked() + all[2].asked() + all[3].asked() }
	for began, n := time.Now(), asked(); asked() < n+10; b.timely(t, 2, 1) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("no picker that broke streams is asked again")
		}
	}
	b.idle(t)
}

// TestPickerAnswersAmiss has one of two pickers answer requests with what is no answer to one: it counts as
// one that broke the stream, and the other is asked.
func TestPickerAnswersAmiss(t *testing.T) {
	for what, m := range map[string]*extproc.ProcessingResponse{
		"nothing":          {},
		"a response's end": {Response: &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}},
	} {
		t.Run(what, func(t *testing.T) {
			first, second := startPicker(t, "127.0.0.1:0", nil), startPicker(t, "127.0.0.1:0", nil)
			b := before(t, 64, false, first.Address, second.Address)
			b.introduce(t, first, second)
			second.Set(func(p *Picker) {
				p.Answers = func(*extproc.ProcessingRequest) []*extproc.ProcessingResponse {
					return []*extproc.ProcessingResponse{m}
				}
			})
			b.timely(t, 100, 4)
			if b.usable(t, second) || !b.usable(t, first) {
				t.Error("the picker that answers amiss is in use, or the other is not")
			}
			second.Set(func(p *Picker) { p.Answers = nil })
			for began, n := time.Now(), second.asked(); second.asked() < n+4; b.timely(t, 2, 1) {
				if time.Since(began) > 30*time.Second {
					t.Fatal("it is not asked again once it answers")
				}
			}
			b.idle(t)
		})
	}
}

// TestPickerAsksForTime has a picker say first that it needs more time, as Envoy has it: that is no answer, and
// nothing amiss.
func TestPickerAsksForTime(t *testing.T) {
	p := startPicker(t, "127.0.0.1:0", nil)
	b := before(t, 64, false, p.Address)
	b.introduce(t, p)
	p.Set(func(p *Picker) {
		p.Answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
			answers := p.Answer(m)
			if m.GetRequestHeaders() != nil {
				answers = append([]*extproc.ProcessingResponse{{OverrideMessageTimeout: durationpb.New(time.Second)}}, answers...)
			}
			return answers
		}
	})
	b.timely(t, 4, 1)
	b.idle(t)
}
