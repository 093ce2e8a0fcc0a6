package adversary

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/process"
)

// fleet is three replicas of one pool of 24, and clients that keep it busy.
type fleet struct {
	redis    *redistest.Server
	servers  *process.Servers
	load     *process.Load
	replicas []*process.Replica
}

const limit = 24

func startFleet(t *testing.T, args ...string) *fleet {
	t.Helper()
	f := &fleet{redis: redistest.Start(t), servers: process.StartServers(t, 2, limit/2, 5*time.Millisecond), load: process.StartLoad(t)}
	for i := range 3 {
		f.add(t, fmt.Sprint("r", i), args...)
	}
	f.wait(t)
	return f
}

func (f *fleet) args(more ...string) []string {
	args := []string{
		"--redis", f.redis.URL(), "--upstream", f.servers.URLs[0], "--upstream", f.servers.URLs[1], "--max-concurrency", fmt.Sprint(limit / 2),
		"--fairness", "round-robin-fairness-policy", "--gossip", "127.0.0.1:0",
	}
	if len(f.replicas) > 0 {
		args = append(args, "--join", f.replicas[0].Gossip)
	}
	return append(args, more...)
}

func (f *fleet) add(t *testing.T, id string, more ...string) *process.Replica {
	t.Helper()
	r := process.Start(t, id, f.args(more...)...)
	f.replicas = append(f.replicas, r)
	return r
}

// wait waits until all replicas hand tickets to each other.
func (f *fleet) wait(t *testing.T) {
	t.Helper()
	process.Wait(t, "all reach each other", 10*time.Second, func() bool {
		for _, a := range f.replicas {
			for _, b := range f.replicas {
				if !reaches(a, b.ID) {
					return false
				}
			}
		}
		return true
	})
}

// busy starts tenants at every replica, more than the pool takes.
func (f *fleet) busy() {
	for i := range 12 {
		r := f.replicas[i%len(f.replicas)]
		f.load.Tenant(fmt.Sprint("tenant-", i), 6, func() string { return r.URL })
	}
}

// peak is the most requests in flight within a time.
func (f *fleet) peak(d time.Duration) int64 {
	f.servers.Peak.Store(f.servers.InFlight.Load())
	time.Sleep(d)
	return f.servers.Peak.Load()
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
		t.Logf("%s may not join: %v", name, err)
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
func copied(t *testing.T, r *process.Replica) []byte {
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
	return fmt.Appendf(nil, `{"v":2,"s":256,"i":%d,"a":"127.0.0.1:1"}`, time.Now().UnixNano())
}

// TestFakeMembers has strangers join the gossip of a fleet without a key. They hold no
// lease, so the limit stays what it is.
func TestFakeMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	f := startFleet(t)
	f.busy()
	time.Sleep(500 * time.Millisecond)
	t.Logf("at most %d in flight without strangers", f.peak(time.Second))
	meta := copied(t, f.replicas[0])
	joined := 0
	for _, n := range []int{24, 80} {
		for ; joined < n; joined++ {
			impostor(t, fmt.Sprint("fake-", joined), meta, f.replicas[joined%3].Gossip)
		}
		time.Sleep(time.Second)
		peak := f.peak(time.Second)
		t.Logf("at most %d in flight with %d strangers in the gossip", peak, n)
		if peak < limit-1 || peak > limit {
			t.Errorf("at most %d in flight with %d strangers in the gossip, want %d", peak, n, limit)
		}
	}
	if failed := f.load.Statuses()[0]; failed > 0 {
		t.Errorf("%d requests had no answer", failed)
	}
}
