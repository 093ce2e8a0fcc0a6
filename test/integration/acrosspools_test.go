package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestSpreadOverPools has a tenant load three pools of 8 slots on real processes over Redis, each
// of which another tenant loads: with one share over all pools it gets as much as each of the
// others, and with one in each pool three times as much. It holds after Redis lost everything.
// The tenant is a flow, or a group of two.
func TestSpreadOverPools(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes a minute")
	}
	t.Parallel() // it mostly waits
	t.Run("flows of 3 replicas", func(t *testing.T) {
		t.Parallel()
		s := &spreading{T: t, spread: []string{"a"}, rules: `flows: [{id: "*", scope: %s}]`}
		s.run(3)
	})
	t.Run("groups of 2 replicas", func(t *testing.T) {
		t.Parallel()
		s := &spreading{T: t, spread: []string{"a/x", "a/y"}, rules: `groups: [{name: a, scope: %[1]s}, {name: b0, scope: %[1]s}, {name: b1, scope: %[1]s}, {name: b2, scope: %[1]s}]`}
		s.run(2)
	})
}

// spreading is a tenant that loads all pools, and others that load one each.
type spreading struct {
	*testing.T
	spread  []string // the tenant's flows
	rules   string   // that say the tenants' scope
	servers []*processes.Servers
	loads   []*processes.Load
}

// other is the flow of the other tenant of a pool.
func other(pool int) string { return fmt.Sprintf("b%d/z", pool) }

func (s *spreading) run(replicas int) {
	config, redis := processes.NewConfiguration(s.T), redistest.Start(s.T)
	for n := range 3 {
		s.servers = append(s.servers, processes.StartServers(s.T, 1, 8))
		load, _ := processes.StartLoad(s.T)
		load.Model = fmt.Sprint("model", n)
		s.loads = append(s.loads, load)
	}
	config.Write(s.file("pool"))
	var all []*processes.Replica
	for n := range replicas {
		all = append(all, processes.StartBy(s.T, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), &processes.Servers{}, "--config", config.File, "--redis", redis.URL()))
	}
	for n, load := range s.loads {
		for _, r := range all {
			for _, flow := range s.spread {
				load.Tenant(s.Context(), flow, 24/replicas/len(s.spread), r)
			}
			load.Tenant(s.Context(), other(n), 24/replicas, r)
		}
	}
	s.want("with a share in each pool", 0.5, 2)
	config.Reload(s.file("fleet"), all...)
	s.want("with one share over all pools", 0.25, 2)
	redis.Kill()
	redis.Run()
	s.want("after Redis started empty", 0.25, 4)
}

// file is a file of three pools.
func (s *spreading) file(scope string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  `+s.rules+"\n  pools:\n", scope)
	for n, servers := range s.servers {
		fmt.Fprintf(&text, "  - {name: pool%d, models: [model%d], endpoints: [{url: %q}]}\n", n, n, servers.URLs[0])
	}
	return text.String()
}

// want waits until the tenant that spreads has its part of all that is served, and keeps it over so
// many times a thousand requests: what is held is averaged over some seconds.
func (s *spreading) want(what string, part float64, times int) {
	s.Helper()
	began, got, kept := time.Now(), 0.0, 0
	for kept < times {
		if time.Since(began) > processes.Patience+time.Minute {
			s.Fatalf("%s the tenant of three pools got %.1f%% of the last requests, want %.0f%%", what, 100*got, 100*part)
		}
		var others []int
		if got, others = s.served(1000); got < part*0.95 || got > part*1.05 {
			kept = 0
			continue
		}
		if kept++; kept == times {
			s.Logf("%s the tenant of three pools got %.1f%%, and those of one each %v, after %v", what, 100*got, others, time.Since(began))
		}
	}
}

// served is what the tenant that spreads gets of about so many requests, and how many each of the
// others does.
func (s *spreading) served(requests int) (part float64, others []int) {
	var before [3][]int
	tenants := func(pool int) []string { return append([]string{other(pool)}, s.spread...) }
	for n, load := range s.loads {
		before[n] = load.Count(tenants(n))
	}
	s.loads[0].Next(requests/3, tenants(0)...)
	spread, sum := 0, 0
	for n, load := range s.loads {
		for i, now := range load.Count(tenants(n)) {
			got := now - before[n][i]
			if sum += got; i == 0 {
				others = append(others, got)
			} else {
				spread += got
			}
		}
	}
	return float64(spread) / float64(sum), others
}
