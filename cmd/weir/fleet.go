package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
	promsink "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/shard"
)

// fleetFlags are the flags of weir serve that connect it to other replicas.
type fleetFlags struct {
	gossip, peer, advertise string
	join                    []string
	label, keyFile          string
	cert, key, ca           string
}

func (f *fleetFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.gossip, "gossip", "", "address for gossip with other replicas, such as 127.0.0.1:7946; without it this replica queues what comes in by it")
	fs.StringVar(&f.peer, "peer", "127.0.0.1:0", "address for ticket streams from other replicas")
	fs.StringVar(&f.advertise, "advertise", "", "IP address by which other replicas reach this one; by default the one of --gossip")
	fs.StringArrayVar(&f.join, "join", nil, "gossip address of a replica to join by; may be repeated; a host name stands for all its addresses")
	fs.StringVar(&f.label, "fleet", "weir", "name of the fleet: gossip under another one is ignored")
	fs.StringVar(&f.keyFile, "gossip-key-file", "", "file with the key that encrypts the gossip: base64 of 16, 24 or 32 bytes")
	fs.StringVar(&f.cert, "peer-cert", "", "certificate file for ticket streams; with --peer-key and --peer-ca streams are TLS, and both ends show one")
	fs.StringVar(&f.key, "peer-key", "", "key file of --peer-cert")
	fs.StringVar(&f.ca, "peer-ca", "", "file with the CA that signs the replicas' certificates")
}

func (f *fleetFlags) validate(redis string) error {
	switch {
	case f.gossip == "" && len(f.join) > 0:
		return errors.New("--join: give this replica a --gossip address, too")
	case f.gossip != "" && redis == "":
		return errors.New("--gossip: replicas of a fleet share a ledger: give all of them the same --redis")
	case (f.cert == "") != (f.key == "") || (f.cert == "") != (f.ca == ""):
		return errors.New("--peer-cert, --peer-key and --peer-ca: give all three or none")
	case f.advertise != "" && net.ParseIP(f.advertise) == nil:
		return fmt.Errorf("--advertise %q: give an IP address", f.advertise)
	}
	return nil
}

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

// open binds the addresses; nil without --gossip.
func (f *fleetFlags) open(replica string, incarnation uint64, lease time.Duration, log *zap.Logger) (*gossip.Fleet, error) {
	if f.gossip == "" {
		return nil, nil //nolint:nilnil // no fleet is not an error
	}
	var key []byte
	var peerTLS *tls.Config
	var err error
	if f.keyFile != "" {
		if key, err = gossip.LoadKey(f.keyFile); err != nil {
			return nil, fmt.Errorf("--gossip-key-file: %w", err)
		}
	}
	if f.cert != "" {
		if peerTLS, err = stream.LoadTLS(f.cert, f.key, f.ca); err != nil {
			return nil, fmt.Errorf("--peer-cert: %w", err)
		}
	}
	listener, err := listenOn("--peer", f.peer)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(f.gossip)
	if err != nil {
		return nil, fmt.Errorf("--gossip %q: %w", f.gossip, err)
	}
	if f.advertise != "" {
		host = f.advertise
	}
	peerHost, peerPort, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("--peer %q: %w", f.peer, err)
	}
	if ip := net.ParseIP(peerHost); f.advertise != "" || ip.IsUnspecified() {
		peerHost = host
	}
	streams := stream.New(stream.Config{
		Listener: listener, Replica: replica, Incarnation: incarnation, Shards: shard.Count, TLS: peerTLS, Logger: log,
	})
	fleet, err := gossip.New(gossip.Config{
		Replica: replica, Incarnation: incarnation, Shards: shard.Count, Bind: f.gossip, Advertise: net.JoinHostPort(host, port),
		PeerAddress: net.JoinHostPort(peerHost, peerPort), Seeds: f.join, Label: f.label, Key: key,
		Remember: 3 * lease, Streams: streams, Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("--gossip: %w", err)
	}
	return fleet, nil
}
