package gateway_test

import (
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/policies"
)

// exchange is a stream of external processing that a test has messages come by.
type exchange struct {
	rig.Tape
	come chan *extproc.ProcessingRequest
	goes chan *extproc.ProcessingResponse
}

func (e *exchange) Recv() (*extproc.ProcessingRequest, error) {
	if m, ok := <-e.come; ok {
		return m, nil
	}
	return nil, io.EOF
}

func (e *exchange) Send(m *extproc.ProcessingResponse) error {
	e.goes <- m
	return nil
}

// exchanged sends a request of a flow whose answer takes so long, and returns how long it waited, and
// whether it went.
func exchanged(t *testing.T, r *rig.Rig, flow string, took time.Duration) (waited time.Duration, went bool) {
	e := &exchange{rig.Tape{Ctx: t.Context()}, make(chan *extproc.ProcessingRequest), make(chan *extproc.ProcessingResponse, 10)}
	ended := make(chan error, 1)
	go func() { ended <- r.Envoy.Process(e) }()
	began := time.Now()
	e.come <- rig.EnvoyHead("", headers.Flow[0], flow)
	e.come <- rig.EnvoyBody(rig.Chat)
	first := <-e.goes
	waited, went = time.Since(began), first.GetImmediateResponse() == nil
	if went {
		time.Sleep(took)
		e.come <- rig.EnvoyAnswer(200)
		e.come <- rig.EnvoyAnswerBody(`{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}
	close(e.come)
	if err := <-ended; err != nil {
		t.Errorf("a stream of %s ended with %v", flow, err)
	}
	return waited, went
}

// TestShadowForetells wants the report of what flow control would do to be what it then does
// with the same load: each tenant's share, refusals and waits. By a clock that stands while there is
// something to do.
func TestShadowForetells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took, limit, lasting = 100 * time.Millisecond, 4, 3 * time.Second
		r := rig.Within(t, limit, []controller.Option{controller.WithTTL(time.Minute, time.Minute), controller.WithCapacity(30, 0)},
			func(c *rig.Config) { c.Shadow = true }, "http://127.0.0.1:1")
		every := map[string]time.Duration{"greedy": 16 * time.Millisecond, "modest": 65 * time.Millisecond, "small": 130 * time.Millisecond} // twice what the pool takes
		type got struct {
			served, refused int
			waited          time.Duration
		}
		load := func() map[string]*got {
			var mu sync.Mutex
			all := make(map[string]*got)
			var running sync.WaitGroup
			for id, gap := range every {
				g := &got{}
				all[id] = g
				running.Go(func() {
					for began := time.Now(); time.Since(began) < lasting; time.Sleep(gap) {
						running.Go(func() {
							waited, went := exchanged(t, r, id, took)
							mu.Lock()
							defer mu.Unlock()
							if !went {
								g.refused++
								return
							}
							g.served++
							g.waited += waited
						})
					}
				})
			}
			running.Wait()
			return all
		}
		for id, g := range load() {
			if g.refused > 0 || g.waited > 0 {
				t.Fatalf("%d requests of %s were refused in shadow, others waited for %v", g.refused, id, g.waited)
			}
		}
		decided := func(f shadow.Figures) int64 { return f.Dispatched + f.Refused + f.Evicted }
		time.Sleep(time.Minute) // until all are played
		report := r.Pool.Shadow().Report()
		r.Pool.Shadow().Set(false)
		then := load()
		var foretold, served, foretoldTime float64
		for id := range every {
			f := report.Flows[policies.FlowKey{ID: id}]
			if left := f.Requests - decided(f); left > 0 {
				t.Errorf("%d requests of %s are still played", left, id)
			}
			foretold += float64(f.Dispatched)
			foretoldTime += f.Granted.Seconds()
			served += float64(then[id].served)
		}
		for id, g := range then {
			f := report.Flows[policies.FlowKey{ID: id}]
			refused := [2]float64{float64(f.Refused+f.Evicted) / float64(decided(f)), float64(g.refused) / float64(g.refused+g.served)}
			share := [3]float64{float64(f.Dispatched) / foretold, float64(g.served) / served, f.Granted.Seconds() / foretoldTime}
			wait := [2]time.Duration{f.Waited / time.Duration(max(f.Dispatched, 1)), g.waited / time.Duration(max(g.served, 1))}
			t.Logf("%s: share %.3f foretold (%.3f of the time), %.3f then; refused %.3f, %.3f; mean wait %v, %v", id, share[0], share[2], share[1], refused[0], refused[1], wait[0], wait[1])
			if math.Abs(share[0]-share[1]) > 0.01 || math.Abs(share[2]-share[1]) > 0.01 || math.Abs(refused[0]-refused[1]) > 0.01 {
				t.Errorf("%s: by more than 1%%", id)
			}
			if d := (wait[0] - wait[1]).Abs(); d > 5*time.Millisecond {
				t.Errorf("%s: waits by %v", id, d)
			}
		}
	})
}
