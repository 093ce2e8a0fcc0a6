package adversary

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/weirflow/weir/test/processes"
)

// busy starts tenants at every replica, more than the pool takes.
func busy(c *processes.Cluster) *processes.Load {
	l, ctx := processes.StartLoad(c.T)
	for i := range 12 {
		l.Tenant(ctx, fmt.Sprint("tenant-", i), 6, c.Replicas[i%len(c.Replicas)])
	}
	return l
}

// impostor gossips in a fleet's name with metadata of its choice.
func impostor(t *testing.T, name string, meta []byte, join string) *memberlist.Memberlist {
	t.Helper()
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name, cfg.Label = name, "weir"
	cfg.BindAddr, cfg.BindPort, cfg.AdvertisePort = "127.0.0.1", 0, 0
	cfg.ProbeInterval, cfg.PushPullInterval = time.Minute, 0
	cfg.Delegate = metadata(meta)
	cfg.Logger = log.New(io.Discard, "", 0)
	l, err := memberlist.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Shutdown() })
	if _, err := l.Join([]string{join}); err != nil {
		t.Fatalf("%s may not join: %v", name, err)
	}
	return l
}

// metadata is a delegate that has nothing but metadata.
type metadata []byte

func (m metadata) NodeMeta(int) []byte             { return m }
func (metadata) NotifyMsg([]byte)                  {}
func (metadata) GetBroadcasts(_, _ int) [][]byte   { return nil }
func (metadata) LocalState(bool) []byte            { return nil }
func (metadata) MergeRemoteState(_ []byte, _ bool) {}

// copied is the metadata of a replica as anybody who joins sees it, with its own
// incarnation and a peer address where nobody is.
func copied(t *testing.T, r *processes.Replica) []byte {
	t.Helper()
	spy := impostor(t, "spy", []byte(`{}`), r.Gossip)
	defer spy.Shutdown() //nolint:errcheck // it has seen enough
	for _, n := range spy.Members() {
		var meta map[string]any
		if n.Name != r.ID || json.Unmarshal(n.Meta, &meta) != nil {
			continue
		}
		meta["i"], meta["a"] = time.Now().UnixNano(), "127.0.0.1:1"
		text, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	t.Fatalf("the spy does not see the metadata of %s", r.ID)
	return nil
}

// TestFakeMembers has strangers join the gossip of a fleet without a key. They hold no
// lease, so the limit stays what it is.
func TestFakeMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	l := busy(c)
	c.Wait("the pool is full", processes.Patience, func() bool { return c.Servers.Peak.Load() == processes.Limit })
	meta := copied(t, c.Replicas[0])
	joined := 0
	for _, n := range []int{24, 80} {
		for ; joined < n; joined++ {
			impostor(t, fmt.Sprint("fake-", joined), meta, c.Replicas[joined%3].Gossip)
		}
		c.Wait(fmt.Sprintf("every replica takes %d strangers for alive", n), processes.Patience, func() bool {
			for _, r := range c.Replicas {
				if processes.Metric(t, "weir_fleet_members", r) != len(c.Replicas)+n {
					return false
				}
			}
			return true
		})
		time.Sleep(time.Second) // for those who would leave them a part of the limit
		c.Servers.Peak.Store(c.Servers.InFlight.Load())
		took := c.Wait(fmt.Sprintf("the pool is full with %d strangers in the gossip", n), processes.Patience, func() bool { return c.Servers.Peak.Load() >= processes.Limit-1 })
		t.Logf("%d in flight with %d strangers in the gossip, after %v", c.Servers.Peak.Load(), n, took)
	}
	c.WithinLimit("strangers in the gossip")
	c.NoneFailed("strangers in the gossip", l, nil)
}
