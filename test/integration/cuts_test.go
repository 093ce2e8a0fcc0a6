package integration

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/internal/redistest"
)

// gossipPort is every replica's in its own namespace.
const gossipPort = "7946"

// TestCuts has three replicas in network namespaces under load, and cuts the
// third off: from the others' gossip, from the others, from Redis, and from
// both. What the design promises for each is measured at the model servers.
func TestCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 45 s")
	}
	t.Parallel() // it mostly waits
	if !isolated(t) {
		return
	}
	redis := redistest.Start(t, "--bind", "0.0.0.0", "--protected-mode", "no")
	_, redisPort, err := net.SplitHostPort(redis.Address)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, redis: redis, servers: startServersAt(t, hub, 2, limit/2)}
	var spaces []*namespace
	for n := range 3 {
		ns := newNamespace(t, n)
		args := []string{
			"--fairness", "round-robin-fairness-policy",
			"--redis", fmt.Sprintf("redis://%s:%s", hub, redisPort), "--max-concurrency", fmt.Sprint(limit / 2),
			"--gossip", net.JoinHostPort(ns.address, gossipPort), "--peer", net.JoinHostPort(ns.address, "7947"),
		}
		for _, other := range spaces {
			args = append(args, "--join", net.JoinHostPort(other.address, gossipPort))
		}
		c.replicas = append(c.replicas, startReplicaBy(t, ns.command(binary), ns.address, fmt.Sprint("r", n+1), c.servers, args...))
		spaces = append(spaces, ns)
	}
	c.wait("everybody knows everybody", 5*time.Second, func() bool { return c.agree(3) })
	l, tenants := c.uneven()
	time.Sleep(time.Second)
	c.even("undisturbed", l, tenants)
	c.withinLimit("undisturbed")

	cutOff := c.replicas[2]
	const fromOthers, toOthers = "-s 10.77.0.10/31", "-d 10.77.0.10/31"
	fromRedis, toRedis := "-p tcp --sport "+redisPort, "-p tcp --dport "+redisPort
	gossip := "-p udp --dport " + gossipPort + "|-p tcp --dport " + gossipPort
	for _, cut := range []struct {
		name    string
		in, out string // matches of what is dropped
		even    bool   // the whole fleet still shares one book
		most    int64  // requests in flight
	}{
		{"gossip cut", gossip, gossip, true, limit},
		{"all between replicas cut", fromOthers, toOthers, true, limit},
		{"Redis cut", fromRedis, toRedis, false, limit},
		{"both cut", fromOthers + "|" + fromRedis, toOthers + "|" + toRedis, false, limit + limit/3},
	} {
		spaces[2].drop("INPUT", cut.in)
		spaces[2].drop("OUTPUT", cut.out)
		served := l.servedBy(cutOff)
		time.Sleep(2 * time.Second)
		requests, jain := l.window(2*time.Second, tenants...)
		peak := c.servers.peak.Swap(0)
		there := l.servedBy(cutOff) - served
		t.Logf("%s: at most %d of %d in flight, %.0f requests/s, Jain index %.4f, the replica cut off served %.0f requests/s",
			cut.name, peak, limit, float64(requests)/2, jain, float64(there)/4)
		if peak > cut.most {
			t.Errorf("%s: %d in flight, at most %d are promised", cut.name, peak, cut.most)
		}
		if cut.even && jain < 0.98 {
			t.Errorf("%s: Jain index %.4f, want at least 0.98", cut.name, jain)
		}
		if requests < 200 || there == 0 {
			t.Errorf("%s: %d requests in 2 s, want at least 200; %d at the replica cut off", cut.name, requests, there)
		}
		spaces[2].heal()
		took := c.wait("all agree again", 15*time.Second, func() bool { return c.agree(3) && c.connected() })
		t.Logf("%s: healed, all agreed again after %v", cut.name, took)
		time.Sleep(time.Second)
		c.servers.peak.Store(0)
		c.even(cut.name+", healed", l, tenants)
		c.withinLimit(cut.name + ", healed")
	}
	c.noneFailed("cuts", l, nil)
}

// connected reports whether all replicas have the ledger.
func (c *cluster) connected() bool {
	for _, r := range c.replicas {
		if pool, err := get[gateway.PoolStatus](r, "/v1/pool"); err != nil || pool.Ledger.State != core.Connected {
			return false
		}
	}
	return true
}
