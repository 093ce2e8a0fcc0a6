package demo

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/modelserver"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// fleet is the replicas and model servers of one run.
type fleet struct {
	cfg       Config
	ledgers   []store.Ledger
	limits    []int
	observer  controller.Observer
	upstreams []string
	servers   []*http.Server
	cuts      cuts

	inFlight, peak atomic.Int64 // at the model servers

	killed sync.WaitGroup // killed replicas that are still stopping

	mu            sync.Mutex
	replicas      []*replica // nil where one was killed
	turns, grants uint64     // of killed replicas
}

// startFleet starts the model servers and one replica per ledger. Each replica
// gets its limit from limits; with gossip they are one fleet.
func startFleet(cfg Config, ledgers []store.Ledger, limits []int, withGossip bool, observer controller.Observer) (_ *fleet, err error) {
	f := &fleet{cfg: cfg, ledgers: ledgers, limits: limits, observer: observer, replicas: make([]*replica, cfg.Replicas)}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	for range cfg.Servers {
		url, err := f.startModelServer()
		if err != nil {
			return nil, err
		}
		f.upstreams = append(f.upstreams, url)
	}
	for i := range cfg.Replicas {
		r, err := f.startReplica(i, ledgers[i], withGossip)
		if err != nil {
			return nil, err
		}
		f.replicas[i] = r
	}
	return f, nil
}

// options are what the controller of replica i is configured with.
func (f *fleet) options(i int) []controller.Option {
	return []controller.Option{
		controller.WithReplica(replicaID(i)),
		controller.WithLimit(f.limits[i]),
		controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin(fairness.RoundRobinType)}),
		controller.WithWeights(f.weight),
	}
}

func (f *fleet) weight(k policies.FlowKey) float64 {
	for _, t := range f.cfg.Tenants {
		if t.ID == k.ID {
			return t.Weight
		}
	}
	return 1
}

// living returns the replicas that run.
func (f *fleet) living() (living []*replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r != nil {
			living = append(living, r)
		}
	}
	return living
}

// near is the replica that a client of replica i goes to: that one, or the next that runs.
func (f *fleet) near(i int) *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.replicas[i] == nil {
		i = (i + 1) % len(f.replicas)
	}
	return f.replicas[i]
}

// counts returns how many turns were taken and how many requests they granted.
func (f *fleet) counts() (turns, grants uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	turns, grants = f.turns, f.grants
	for _, r := range f.replicas {
		if r != nil {
			t, g := r.controller.Turns()
			turns, grants = turns+t, grants+g
		}
	}
	return turns, grants
}

func (f *fleet) startModelServer() (string, error) {
	cfg := modelserver.DefaultConfig()
	cfg.MaxRunning = f.cfg.Concurrency
	cfg.Step, cfg.StepPerSequence = 5*time.Millisecond, 200*time.Microsecond
	cfg.InFlight = func(delta int) {
		now := f.inFlight.Add(int64(delta))
		for {
			peak := f.peak.Load()
			if now <= peak || f.peak.CompareAndSwap(peak, now) {
				return
			}
		}
	}
	s, err := modelserver.New(cfg)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	f.servers = append(f.servers, server)
	return listenAndServe(server)
}

// listenAndServe serves on a loopback port of the system's choice.
func listenAndServe(s *http.Server) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	go func() { // ends with the server
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener of our own that fails to accept
		}
	}()
	return "http://" + l.Addr().String(), nil
}

// stop ends everything that was started.
func (f *fleet) stop() {
	for _, r := range f.living() {
		r.stop()
	}
	f.killed.Wait()
	for _, s := range f.servers {
		_ = s.Close()
	}
}
