package integration

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
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
	c := &processes.Cluster{T: t, Redis: redis, Servers: processes.StartServersAt(t, hub, 2, processes.Limit/2)}
	var spaces []*namespace
	for n := range 3 {
		ns := newNamespace(t, n)
		args := []string{
			"--fairness", "round-robin-fairness-policy",
			"--redis", fmt.Sprintf("redis://%s:%s", hub, redisPort), "--max-concurrency", fmt.Sprint(processes.Limit / 2),
			"--gossip", net.JoinHostPort(ns.address, gossipPort), "--peer", net.JoinHostPort(ns.address, "7947"), "--insecure-fleet",
		}
		for _, other := range spaces {
			args = append(args, "--join", net.JoinHostPort(other.address, gossipPort))
		}
		c.Replicas = append(c.Replicas, processes.StartBy(t, ns.command(processes.Binary()), ns.address, fmt.Sprint("r", n+1), c.Servers, args...))
		spaces = append(spaces, ns)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	l, tenants := c.Uneven()
	l.Next(200, tenants...)
	c.Even("undisturbed", l, tenants)
	c.WithinLimit("undisturbed")

	cutOff := c.Replicas[2]
	const fromOthers, toOthers = "-s 10.77.0.10/31", "-d 10.77.0.10/31"
	fromRedis, toRedis := "-p tcp --sport "+redisPort, "-p tcp --dport "+redisPort
	gossip := "-p udp --dport " + gossipPort + "|-p tcp --dport " + gossipPort
	for _, cut := range []struct {
		name    string
		in, out string // matches of what is dropped
		even    bool   // the whole fleet still shares one book
		most    int64  // requests in flight
	}{
		{"gossip cut", gossip, gossip, true, processes.Limit},
		{"all between replicas cut", fromOthers, toOthers, true, processes.Limit},
		{"Redis cut", fromRedis, toRedis, false, processes.Limit},
		{"both cut", fromOthers + "|" + fromRedis, toOthers + "|" + toRedis, false, processes.Limit + processes.Limit/3},
	} {
		spaces[2].drop("INPUT", cut.in)
		spaces[2].drop("OUTPUT", cut.out)
		served := l.ServedBy(cutOff)
		time.Sleep(2 * time.Second)
		began := time.Now()
		got := l.Next(400, tenants...)
		jain, peak := processes.Jain(got), c.Servers.Peak.Swap(0)
		there := l.ServedBy(cutOff) - served
		t.Logf("%s: at most %d of %d in flight, 400 requests in %v, Jain index %.4f, the replica cut off served %d requests since the cut",
			cut.name, peak, processes.Limit, time.Since(began), jain, there)
		if peak > cut.most {
			t.Errorf("%s: %d in flight, at most %d are promised", cut.name, peak, cut.most)
		}
		if cut.even && jain < 0.98 {
			t.Errorf("%s: Jain index %.4f, want at least 0.98", cut.name, jain)
		}
		if there == 0 {
			t.Errorf("%s: the replica cut off served nothing", cut.name)
		}
		spaces[2].heal()
		took := c.Wait("all agree again", processes.Patience, func() bool { return c.Agree(3) && c.Connected() })
		t.Logf("%s: healed, all agreed again after %v", cut.name, took)
		l.Next(200, tenants...)
		c.Servers.Peak.Store(0)
		c.Even(cut.name+", healed", l, tenants)
		c.WithinLimit(cut.name + ", healed")
	}
	c.NoneFailed("cuts", l, nil)
}
