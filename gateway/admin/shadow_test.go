package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/gateway/admin/api"
)

// TestShadowIsMerged adds up what two replicas played, one of which has ended, and a third that
// never began.
func TestShadowIsMerged(t *testing.T) {
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	end := begin.Add(time.Minute)
	r := mergeShadow([]partOf[shadowPart]{
		{"a", shadowPart{On: true, Since: begin.Add(time.Second), Until: end, Flows: []shadowFlowPart{
			{ID: "x", Requests: 10, Held: 3 * time.Second, Dispatched: 6, Refused: 2, Evicted: 1, Granted: time.Second, Waited: 6 * time.Second},
			{ID: "y", Priority: 1, Requests: 20, Held: time.Second, Dispatched: 20, Granted: time.Second, Waits: []uint32{99, 1}},
		}}},
		{"b", shadowPart{Since: begin, Until: end.Add(-time.Second), Flows: []shadowFlowPart{
			{ID: "x", Requests: 30, Held: 4 * time.Second, Dispatched: 2, Refused: 28, Granted: 2 * time.Second, Waited: 2 * time.Second, Waits: []uint32{0, 2}},
		}}},
		{"c", shadowPart{}},
	})
	want := &api.Shadow{
		On: true, Since: &begin, Until: &end,
		All: api.ShadowFigures{Requests: 60, Share: 1, Dispatched: 28, Refused: 30, Evicted: 1, WouldShare: 1, WaitMeanMS: 285.714, WaitP50MS: 0.25, WaitP99MS: 0.495},
		Flows: []api.ShadowFlow{
			{ID: "x", ShadowFigures: api.ShadowFigures{Requests: 40, Share: 7. / 8, Dispatched: 8, Refused: 30, Evicted: 1, WouldShare: 3. / 4, WaitMeanMS: 1000, WaitP50MS: 0.25, WaitP99MS: 0.495}},
			{ID: "y", Priority: 1, ShadowFigures: api.ShadowFigures{Requests: 20, Share: 1. / 8, Dispatched: 20, WouldShare: 1. / 4}},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if r := mergeShadow([]partOf[shadowPart]{{"c", shadowPart{}}}); r.On || r.Since != nil || len(r.Flows) != 0 {
		t.Errorf("where none has played: %+v", r)
	}
}
