package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestAdmin asks three replicas under load: each tells of the whole fleet, what they say
// of it adds up, and a replica that is killed is told of, by all that are left.
func TestAdmin(t *testing.T) {
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	c.Uneven()
	clients := make([]*api.Client, len(c.Replicas))
	for i, r := range c.Replicas {
		clients[i] = &api.Client{Address: r.Admin}
	}
	ctx := t.Context()
	c.Wait("all have an answer of all, with the pool in use", processes.Patience, func() bool {
		for _, client := range clients {
			p, err := client.Pool(ctx, api.Query{})
			if err != nil || len(p.Fleet.Missing) > 0 || len(p.Fleet.Answered) != 3 || p.InFlight < processes.Limit/2 || p.Queued == 0 {
				return false
			}
		}
		return true
	})
	for i, client := range clients {
		flows, err := client.Flows(ctx, api.Query{Sort: "id"})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range flows.Flows {
			ids = append(ids, f.ID)
		}
		if strings.Join(ids, " ") != "everywhere one-a one-b one-c two-a" {
			t.Errorf("%s knows the flows %v", c.Replicas[i].ID, ids)
		}
	}
	c.Wait("a waiting request is explained, at another replica than its own", processes.Patience, func() bool {
		waiting, err := clients[2].Requests(ctx, api.Query{State: "waiting", Flow: "one-a"})
		if err != nil || len(waiting.Requests) == 0 {
			return false
		}
		last := waiting.Requests[len(waiting.Requests)-1]
		d, err := clients[1].Request(ctx, last.ID)
		if err != nil || d.Why == nil {
			return false // it went meanwhile
		}
		t.Logf("%s has waited for %d ms; place %d of %d: %s", d.ID, d.AgeMS, d.Why.Place, d.Why.InBand, d.Why.Reason)
		return d.Ingress == "r1" && d.Why.Place >= 1 && d.Why.InBand >= d.Why.Place && d.Why.HeldBy == api.HeldByPool
	})
	for i, client := range clients[:2] { // each looks who is there once a second
		c.Wait(c.Replicas[i].ID+" has seen all", processes.Patience, func() bool {
			h, err := client.History(ctx, api.Query{})
			return err == nil && len(h.Samples) > 0
		})
	}
	killed := time.Now()
	c.Replicas[2].Kill()
	for i, client := range clients[:2] {
		c.Wait("the loss is an event at "+c.Replicas[i].ID, processes.Patience, func() bool {
			e, err := client.Events(ctx, api.Query{Kind: api.ReplicaLost})
			// Where the machine has much else to do another may have been taken for lost for a moment.
			return err == nil && slices.ContainsFunc(e.Events, func(e api.Event) bool { return e.Subject == "r3" && len(e.Replicas) == 2 })
		})
	}
	t.Logf("the killed replica was an event at both others after %v", time.Since(killed))
	replicas, err := clients[0].Replicas(ctx, api.Query{})
	if err != nil || slices.ContainsFunc(replicas.Replicas, func(r api.Replica) bool { return r.ID == "r3" && (r.Live || r.Answered) }) {
		t.Errorf("replicas after the kill: %+v, %v", replicas, err)
	}
	c.Wait("there is a history", processes.Patience, func() bool {
		h, err := clients[1].History(ctx, api.Query{})
		return err == nil && len(h.Samples) > 1 && h.Samples[len(h.Samples)-1].Requests > 0
	})
}
