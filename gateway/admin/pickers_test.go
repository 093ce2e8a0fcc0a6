package admin

import (
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/picker"
)

// TestPickersOfMany wants a picker to be told of once: as the replica that finds it worst does, with
// the sums of all, and the latest error.
func TestPickersOfMany(t *testing.T) {
	now := time.Now()
	part := func(replica string, all ...picker.Status) partOf[statePart] {
		return partOf[statePart]{replica, statePart{Pickers: all}}
	}
	list := mergePickers([]partOf[statePart]{
		part("a", picker.Status{Address: "10.0.0.2:9002", Name: "epp:9002", State: picker.InUse, Asked: 3, Answered: now.Add(-time.Second)},
			picker.Status{Address: "10.0.0.1:9002", Name: "epp:9002", State: picker.Silent, Asked: 5, Failed: 2, Ejected: 1, Error: "it answers nobody", ErrorAt: now}),
		part("b", picker.Status{Address: "10.0.0.1:9002", Name: "epp:9002", State: picker.Quiet, Asked: 7, Unanswered: 4, Failed: 1, Error: "refused", ErrorAt: now.Add(-time.Minute)}),
		part("c", picker.Status{Address: "[::1]:9002", Name: "epp:9002", State: picker.NeverConnected}),
		part("d", picker.Status{Address: "[::1]:9002", Name: "epp:9002", State: picker.Quiet}),
	}, now)
	if len(list) != 3 || list[2].State != "never_connected" || list[0].Address != "10.0.0.1:9002" || list[1].State != "in_use" || list[1].Error != "" || *list[1].Replicas[0].AnsweredMS != 1000 {
		t.Fatalf("pickers: %+v", list)
	}
	if p := list[0]; p.State != "silent" || p.Asked != 12 || p.Failed != 3 || p.Ejected != 1 || p.Unanswered != 4 || p.Error != "it answers nobody" || len(p.Replicas) != 2 || p.Replicas[1].State != "quiet" {
		t.Errorf("a picker that one replica finds silent: %+v", p)
	}
}
