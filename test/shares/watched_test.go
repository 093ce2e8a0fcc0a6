package shares

import (
	"slices"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestSharesAreToldTheSame has three processes that gossip say the same of what two priorities should
// have and had, and go on to tell of what one of them held that is killed.
func TestSharesAreToldTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	t.Parallel() // it mostly waits
	f := startFleet(t, 3, guaranteeing("25%"))
	f.clients("flood", 20, f.at(0))
	f.clients("flood", 20, f.at(1))
	stop := f.clients("batch", 20, f.at(2))

	entitled := func(s []api.Share) bool { return s[0].Entitled == 6 && s[1].Entitled == 2 && s[1].Guaranteed == 2 }
	f.agree("6 of 8 slots for priority 10 and 2 for -10, and had as much", f.replicas, entitled)
	// What all say is what one of them watched: the one that is killed, where that looked first.
	for _, r := range f.replicas[:2] {
		f.cluster().Wait(r.ID+" has watched it too", processes.Patience, func() bool {
			s, err := processes.Get[api.Shares](r, "/v1/shares?scope=replica")
			return err == nil && hadShares(s.Shares)
		})
	}
	stop()
	f.replicas[2].Kill()
	f.agree("had by -10 what a replica held that was killed", f.replicas[:2], func([]api.Share) bool { return true })
}

// agree waits for replicas to say the same of what both priorities had, which is about what is due to
// them, and more that must hold.
func (f *fleet) agree(what string, replicas []*processes.Replica, holds func([]api.Share) bool) {
	f.Helper()
	var said [][]api.Share
	f.Cleanup(func() {
		if f.Failed() {
			f.Logf("%s: at the end /v1/shares had %+v", what, said)
		}
	})
	cluster := &processes.Cluster{T: f.T}
	cluster.Wait("all say: "+what, processes.Patience, func() bool {
		said = said[:0]
		for _, r := range replicas {
			s, err := processes.Get[api.Shares](r, "/v1/shares")
			if err != nil || len(s.Fleet.Answered) != len(replicas) {
				return false
			}
			said = append(said, s.Shares)
		}
		return !slices.ContainsFunc(said, func(s []api.Share) bool {
			return !hadShares(s) || !holds(s) || !slices.EqualFunc(s, said[0], sameHad)
		})
	})
}

// hadShares reports whether both priorities were seen to have had slots, the flood more than batch, and no
// more together than there are.
func hadShares(s []api.Share) bool {
	if len(s) != 2 || s[0].Priority != 10 || s[1].Priority != -10 {
		return false
	}
	flood, batch := s[0].Had[0], s[1].Had[0]
	return flood.SpanMS > 0 && batch.Slots > 0.5 && flood.Slots > 2*batch.Slots && flood.Slots+batch.Slots < 8.5
}

func sameHad(a, b api.Share) bool { return slices.Equal(a.Had, b.Had) }
