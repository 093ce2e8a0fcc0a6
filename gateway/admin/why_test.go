package admin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
)

// TestWhy asks why requests wait, by their names and by their tickets.
func TestWhy(t *testing.T) {
	f := newFleet(t, 2, 1, controller.WithLimits(func(id string) shard.Limit {
		if id == "bounded" {
			return shard.Limit{MaxInFlight: 1}
		}
		return shard.Limit{}
	}), controller.WithLimit(2))
	becomes := func(what string, figure func(*api.Pool) int64, n int64) {
		t.Helper()
		eventually(t, fmt.Sprint(n, what), func() bool {
			var p api.Pool
			f.replicas["a"].get(t, "/v1/pool", 200, &p)
			return figure(&p) == n
		})
	}
	waits := func(n int64) {
		t.Helper()
		becomes(" wait", func(p *api.Pool) int64 { return p.Queued }, n)
	}
	inFlight := func(n int64) {
		t.Helper()
		becomes(" in flight", func(p *api.Pool) int64 { return p.InFlight }, n)
	}
	why := func(id string) api.RequestDetail {
		t.Helper()
		var d api.RequestDetail
		f.replicas["b"].get(t, "/v1/requests/"+id, 200, &d)
		return d
	}
	f.begin("a", "bounded", "", 0)
	inFlight(1)
	f.begin("a", "bounded", "second", 0)
	waits(1)
	eventually(t, "its own limit holds the second", func() bool { return why("second").Why.HeldBy == api.HeldByFlow })
	if d := why("second"); !strings.Contains(d.Why.Reason, `"bounded" is at its own limit`) || d.Why.Place != 1 || d.State != "waiting" || d.Ingress != "a" {
		t.Errorf("%+v %+v", d.Request, d.Why)
	}
	f.begin("a", "other", "", 0)
	inFlight(2)
	for i := range 3 {
		f.begin("b", "other", fmt.Sprint("o", i), 0)
		waits(int64(2 + i))
	}
	if d := why("o2"); d.Why.HeldBy != api.HeldByPool || d.Why.PlaceInFlow != 3 || d.Why.Place != 3 || d.Why.InBand != 4 || why(d.Ticket).ID != "o2" {
		t.Errorf("%+v %+v", d.Request, d.Why)
	}
	f.begin("b", "urgent", "u", 7)
	waits(5)
	d := why("o0")
	if d.Why.HeldBy != api.HeldByPriority || len(d.Why.Ahead) == 0 || d.Why.Ahead[0] != (api.Ahead{Priority: 7, Requests: 1}) {
		t.Errorf("%+v", d.Why)
	}
	var wrong api.Error
	f.replicas["a"].get(t, "/v1/requests/nobody", 404, &wrong)
	if !strings.Contains(wrong.Message, `"nobody"`) {
		t.Errorf("an unknown request: %s", wrong.Message)
	}
	f.mu.Lock()
	f.silent["b"] = true
	f.mu.Unlock()
	f.replicas["a"].shared = shared{}
	if f.replicas["a"].get(t, "/v1/requests/u", 503, &wrong); !strings.Contains(wrong.Message, "ask again") {
		t.Errorf("a request of a replica that does not answer: %s", wrong.Message)
	}
}
