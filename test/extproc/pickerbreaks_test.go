package extproc

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
