package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/redis"
)

// replicaVariable makes this binary one replica of a fleet.
const replicaVariable = "WEIR_BENCH_REPLICA"

// setting is what a replica is told to be, by that variable.
type setting struct {
	ID, Redis, Join string
	Replicas        int
}

// report is what a replica says of itself, as a line of JSON.
type report struct {
	Gossip          string  // first
	Grants, Turns   uint64  // after "grants"
	Took            float64 // in seconds
	Here, Elsewhere []float64
}

func TestMain(m *testing.M) {
	text := os.Getenv(replicaVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var s setting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	if err := s.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is a replica's life: it does what the lines on its standard input say.
func (s *setting) run(ctx context.Context) error {
	incarnation := uint64(time.Now().UnixNano())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	streams, err := stream.New(stream.Config{Listener: listener, Replica: s.ID, Incarnation: incarnation, Shards: 256})
	if err != nil {
		return err
	}
	cfg := gossip.Config{
		Replica: s.ID, Incarnation: incarnation, Shards: 256, Bind: "127.0.0.1:0", PeerAddress: listener.Addr().String(),
		Streams: streams,
	}
	if s.Join != "" {
		cfg.Seeds = []string{s.Join}
	}
	fleet, err := gossip.New(cfg)
	if err != nil {
		return err
	}
	if _, err := fleet.Join(ctx); err != nil {
		return err
	}
	ledger, err := redis.Open(ctx, redis.Config{URL: s.Redis})
	if err != nil {
		return err
	}
	c, err := controller.NewController(ledger, controller.WithReplica(s.ID), controller.WithIncarnation(incarnation),
		controller.WithFleet(fleet), controller.WithDefaultBand(shard.BandConfig{
			MaxRequests: 1 << 20, MaxBytes: 1 << 40, Fairness: fairness.NewRoundRobin("rr"),
		}))
	if err != nil {
		return err
	}
	defer c.Close()
	c.Observe(ctx, []policies.EndpointAccessor{policytest.Endpoint{}})
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(report{Gossip: fleet.Address()}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var r report
		switch in.Text() {
		case "meet":
			for reachable := 0; reachable < s.Replicas; time.Sleep(10 * time.Millisecond) {
				v, err := c.View(ctx)
				if err != nil {
					return err
				}
				reachable = 1
				for _, p := range v.Peers {
					if p.ID != s.ID && p.Live && p.Reachable {
						reachable++
					}
				}
			}
			time.Sleep(2 * time.Second) // past the ledger's recovery
		case "grants":
			r = grants(ctx, c)
		case "latency":
			if r, err = latency(ctx, c, s.ID); err != nil {
				return err
			}
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// grants has 256 callers take and release at once, over 64 flows that all
// replicas have.
func grants(ctx context.Context, c *controller.Controller) report {
	var done atomic.Uint64
	var callers sync.WaitGroup
	turnsBefore, _ := c.Turns()
	began := time.Now()
	for w := range 256 {
		callers.Go(func() {
			for key := flow(w % 64); time.Since(began) < 10*time.Second; {
				r := &controller.Request{Flow: key, Bytes: 1000}
				if _, err := c.EnqueueAndWait(ctx, r); err != nil {
					panic(err)
				}
				c.Release(r, controller.Usage{})
				done.Add(1)
			}
		})
	}
	callers.Wait()
	turns, _ := c.Turns()
	return report{Grants: done.Load(), Turns: turns - turnsBefore, Took: time.Since(began).Seconds()}
}

// latency takes and releases one at a time, in turn a flow that is queued here
// and one that is queued elsewhere; in milliseconds.
func latency(ctx context.Context, c *controller.Controller, self string) (r report, err error) {
	var here, elsewhere policies.FlowKey
	v, err := c.View(ctx)
	if err != nil {
		return r, err
	}
	for i := range 1000 {
		if key := flow(i); v.Shards.Owner(key) == self {
			here = key
		} else {
			elsewhere = key
		}
	}
	for range 1500 {
		for _, way := range []struct {
			key   policies.FlowKey
			waits *[]float64
		}{{here, &r.Here}, {elsewhere, &r.Elsewhere}} {
			began := time.Now()
			req := &controller.Request{Flow: way.key}
			if _, err := c.EnqueueAndWait(ctx, req); err != nil {
				return r, err
			}
			*way.waits = append(*way.waits, float64(time.Since(began).Microseconds())/1000)
			c.Release(req, controller.Usage{})
			time.Sleep(time.Millisecond)
		}
	}
	slices.SortFunc(r.Here, cmp.Compare[float64])
	slices.SortFunc(r.Elsewhere, cmp.Compare[float64])
	return r, nil
}
