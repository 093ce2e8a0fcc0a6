package replica

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
	promsink "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/gateway/serving"
	"github.com/weirflow/weir/internal/build"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// exportMemberlist exports memberlist's own metrics, memberlist_*. It counts into
// one global place of the process.
func exportMemberlist(registry prometheus.Registerer) error {
	sink, err := promsink.NewPrometheusSinkFrom(promsink.PrometheusOpts{Registerer: registry, Name: "memberlist"})
	if err != nil {
		return fmt.Errorf("export memberlist's metrics: %w", err)
	}
	cfg := gometrics.DefaultConfig("")
	cfg.EnableHostname, cfg.EnableRuntimeMetrics = false, false
	if _, err := gometrics.NewGlobal(cfg, sink); err != nil {
		return fmt.Errorf("export memberlist's metrics: %w", err)
	}
	return nil
}

// severalLedgers is told as the ledger of a replica with several pools, so that one with a
// single pool does not take it for a member. Which ledgers they are is told for each pool.
const severalLedgers = "several"

// ofSeveral is how many messages to a replica may wait where there are several pools.
const ofSeveral = 4096

// identified is a pool's ledger with its identity.
func identified(ctx context.Context, plan *config.Plan, ledger store.Ledger) (coordinator.Ledger, error) {
	kept := coordinator.Ledger{Pool: plan.File.Weir.Pool, Prefix: plan.File.Weir.Store.Prefix}
	if shared, ok := ledger.(store.Shared); ok {
		var err error
		if kept.Identity, err = shared.Identity(ctx, ""); err != nil {
			return kept, fmt.Errorf("%s: %w", plan.Name("weir.store.redis"), err)
		}
	}
	return kept, nil
}

// fleetPart is a part in the fleet: a process's, or that of one of its pools.
type fleetPart interface {
	coordinator.Fleet
	coordinator.Broadcaster
	SetSettings([]coordinator.Setting)
}

// partOf is the part in the fleet of a pool; nil for a replica without one.
func (r *replica) partOf(ctx context.Context, p *pool) (fleetPart, error) {
	switch {
	case r.fleet == nil:
		return nil, nil //nolint:nilnil // there is none
	case r.parts == nil:
		return r.fleet, nil
	}
	ledger, err := identified(ctx, p.plan, p.ledger)
	if err != nil {
		return nil, err
	}
	return r.parts.Pool(ledger), nil
}

// leaveFleet ends the process's part in the fleet where pools share it; a single one does so
// itself.
func (r *replica) leaveFleet() {
	if r.parts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := r.fleet.Leave(ctx); err != nil {
		r.log.Warn("the other replicas were not informed that this one leaves; they will notice", zap.Error(err))
	}
}

// openFleet binds the addresses.
func openFleet(ctx context.Context, plan *config.Plan, ledger store.Ledger, incarnation uint64, log *zap.Logger) (*gossip.Fleet, error) {
	w, f := &plan.File.Weir, &plan.File.Weir.Fleet
	key, peerTLS, err := fleetSecrets(plan)
	if err != nil {
		return nil, err
	}
	kept := coordinator.Ledger{Pool: "(several)", Prefix: w.Store.Prefix, Identity: severalLedgers}
	var settings []coordinator.Setting // each pool has its own
	backlog := ofSeveral
	if !plan.Several() {
		backlog = 0
		if kept, err = identified(ctx, plan, ledger); err != nil {
			return nil, err
		}
		if settings, err = plan.Settings(); err != nil {
			return nil, err
		}
	}
	listener, err := serving.Listen(plan.Name("weir.fleet.peer"), f.Peer)
	if err != nil {
		return nil, err
	}
	advertised, peer, err := fleetAddresses(plan, listener.Addr())
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	streams, err := stream.New(stream.Config{
		Listener: listener, Replica: w.Replica, Incarnation: incarnation, Shards: shard.Count, Key: key, TLS: peerTLS,
		Ledger: kept.Identity, Backlog: backlog, WatchEnd: time.Duration(*w.Store.KeepLost), Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	fleet, err := gossip.New(gossip.Config{
		Replica: w.Replica, Incarnation: incarnation, Build: build.Read().Version, Shards: shard.Count, Bind: f.Gossip, Advertise: advertised,
		PeerAddress: peer, Seeds: f.Join, Label: f.Name, Key: key,
		Ledger: kept, Settings: settings,
		Remember: 3 * time.Duration(*w.Store.Lease), Streams: streams, Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossip"), err)
	}
	return fleet, nil
}

// fleetSecrets are by what replicas know one another: the gossip key and certificates, either of
// which may be nil.
func fleetSecrets(plan *config.Plan) (key []byte, peerTLS *tls.Config, err error) {
	f := &plan.File.Weir.Fleet
	if f.GossipKeyFile != "" {
		if key, err = gossip.LoadKey(f.GossipKeyFile); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossipKeyFile"), err)
		}
	}
	if f.PeerCert != "" {
		if peerTLS, err = stream.LoadTLS(f.PeerCert, f.PeerKey, f.PeerCA); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.peerCert"), err)
		}
	}
	return key, peerTLS, nil
}

// fleetAddresses are where other replicas reach this one, by gossip and by ticket streams, which
// are listened for at an address.
func fleetAddresses(plan *config.Plan, listening net.Addr) (gossip, peer string, _ error) {
	f := &plan.File.Weir.Fleet
	host, port, err := net.SplitHostPort(f.Gossip)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossip"), err)
	}
	if f.Advertise != "" {
		host = f.Advertise
	}
	peerHost, peerPort, err := net.SplitHostPort(listening.String())
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", plan.Name("weir.fleet.peer"), err)
	}
	if ip := net.ParseIP(peerHost); f.Advertise != "" || ip.IsUnspecified() {
		peerHost = host
	}
	return net.JoinHostPort(host, port), net.JoinHostPort(peerHost, peerPort), nil
}
