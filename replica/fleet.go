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

// openFleet binds the addresses.
func openFleet(ctx context.Context, plan *config.Plan, ledger store.Ledger, incarnation uint64, log *zap.Logger) (*gossip.Fleet, error) {
	w, f := &plan.File.Weir, &plan.File.Weir.Fleet
	var key []byte
	var peerTLS *tls.Config
	var err error
	if f.GossipKeyFile != "" {
		if key, err = gossip.LoadKey(f.GossipKeyFile); err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossipKeyFile"), err)
		}
	}
	if f.PeerCert != "" {
		if peerTLS, err = stream.LoadTLS(f.PeerCert, f.PeerKey, f.PeerCA); err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.peerCert"), err)
		}
	}
	kept := coordinator.Ledger{Pool: w.Pool, Prefix: w.Store.Prefix}
	if shared, ok := ledger.(store.Shared); ok {
		if kept.Identity, err = shared.Identity(ctx, ""); err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.store.redis"), err)
		}
	}
	settings, err := plan.Settings()
	if err != nil {
		return nil, err
	}
	listener, err := serving.Listen(plan.Name("weir.fleet.peer"), f.Peer)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(f.Gossip)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossip"), err)
	}
	if f.Advertise != "" {
		host = f.Advertise
	}
	peerHost, peerPort, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.peer"), err)
	}
	if ip := net.ParseIP(peerHost); f.Advertise != "" || ip.IsUnspecified() {
		peerHost = host
	}
	streams, err := stream.New(stream.Config{
		Listener: listener, Replica: w.Replica, Incarnation: incarnation, Shards: shard.Count, Key: key, TLS: peerTLS,
		Ledger: kept.Identity, WatchEnd: time.Duration(*w.Store.KeepLost), Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	fleet, err := gossip.New(gossip.Config{
		Replica: w.Replica, Incarnation: incarnation, Build: build.Read().Version, Shards: shard.Count, Bind: f.Gossip, Advertise: net.JoinHostPort(host, port),
		PeerAddress: net.JoinHostPort(peerHost, peerPort), Seeds: f.Join, Label: f.Name, Key: key,
		Ledger: kept, Settings: settings,
		Remember: 3 * time.Duration(*w.Store.Lease), Streams: streams, Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.fleet.gossip"), err)
	}
	return fleet, nil
}
