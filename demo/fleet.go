package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/modelserver"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// fleet is the replicas and model servers of one run.
type fleet struct {
	cfg      Config
	replicas []*replica
	servers  []*http.Server

	inFlight, peak atomic.Int64 // at the model servers
}

// replica is one Weir replica with its HTTP address.
type replica struct {
	controller *controller.Controller
	gateway    *gateway.Gateway
	server     *http.Server
	url        string
}

// fixedLimit is a detector for a pool whose limit was divided by hand.
type fixedLimit int64

func (fixedLimit) TypedName() policies.TypedName {
	return policies.TypedName{Type: "fixed-limit", Name: "fixed-limit"}
}

func (l fixedLimit) Saturation(context.Context, time.Time, []policies.EndpointAccessor) float64 {
	return 0
}

func (l fixedLimit) InFlightLimit([]policies.EndpointAccessor) int { return int(l) }

// startFleet starts the model servers and one replica per ledger. Each replica
// gets its limit from limits.
func startFleet(cfg Config, ledgers []store.Ledger, limits []int, observer controller.Observer) (_ *fleet, err error) {
	f := &fleet{cfg: cfg}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	var upstreams []string
	for range cfg.Servers {
		url, err := f.startModelServer()
		if err != nil {
			return nil, err
		}
		upstreams = append(upstreams, url)
	}
	roundRobin := fairness.NewRoundRobin(fairness.RoundRobinType)
	weights := make(map[string]float64)
	for _, t := range cfg.Tenants {
		weights[t.ID] = t.Weight
	}
	for i := range cfg.Replicas {
		c, err := controller.NewController(ledgers[i],
			controller.WithReplica(replicaID(i)),
			controller.WithObserver(observer),
			controller.WithSaturationDetector(fixedLimit(limits[i])),
			controller.WithDefaultBand(shard.BandConfig{Fairness: roundRobin}),
			controller.WithWeights(func(k policies.FlowKey) float64 {
				if w := weights[k.ID]; w > 0 {
					return w
				}
				return 1
			}),
		)
		if err != nil {
			return nil, err
		}
		r := &replica{controller: c}
		f.replicas = append(f.replicas, r)
		if r.gateway, err = gateway.New(gateway.Config{Controller: c, Upstreams: upstreams}); err != nil {
			return nil, err
		}
		r.server = &http.Server{Handler: r.gateway, ReadHeaderTimeout: 10 * time.Second}
		if r.url, err = listenAndServe(r.server); err != nil {
			return nil, err
		}
	}
	return f, nil
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
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener of our own that fails to accept
		}
	}()
	return "http://" + l.Addr().String(), nil
}

// stop ends everything that was started.
func (f *fleet) stop() {
	for _, r := range f.replicas {
		if r.server != nil {
			_ = r.server.Close()
		}
		r.controller.Close()
		if r.gateway != nil {
			r.gateway.Close()
		}
	}
	for _, s := range f.servers {
		_ = s.Close()
	}
}
