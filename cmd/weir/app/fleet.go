package app

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

	"github.com/weirflow/weir/config"
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

func (f *fleetFlags) validate(s *serveFlags) error {
	switch {
	case s.file == "" && f.gossip == "" && len(f.join) > 0:
		return errors.New("--join: give this replica a --gossip address, too")
	case s.file == "" && f.gossip != "" && s.redis == "":
		return errors.New("--gossip: replicas of a fleet share a ledger: give all of them the same --redis")
	case s.file == "" && ((f.cert == "") != (f.key == "") || (f.cert == "") != (f.ca == "")):
		return errors.New("--peer-cert, --peer-key and --peer-ca: give all three or none")
	case f.advertise != "" && net.ParseIP(f.advertise) == nil:
		return fmt.Errorf("--advertise %q: give an IP address", f.advertise)
	}
	return nil
}

// override puts the flags that were given over what a file says.
func (f *fleetFlags) override(to *config.Fleet, changed func(string) bool) {
	for flag, field := range map[string]struct{ to, from *string }{
		"gossip": {&to.Gossip, &f.gossip}, "peer": {&to.Peer, &f.peer}, "advertise": {&to.Advertise, &f.advertise},
		"fleet": {&to.Name, &f.label}, "gossip-key-file": {&to.GossipKeyFile, &f.keyFile},
		"peer-cert": {&to.PeerCert, &f.cert}, "peer-key": {&to.PeerKey, &f.key}, "peer-ca": {&to.PeerCA, &f.ca},
	} {
		if changed(flag) {
			*field.to = *field.from
		}
	}
	if changed("join") {
		to.Join = f.join
	}
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

// openFleet binds the addresses; nil for a replica that does not gossip.
func openFleet(w *config.Weir, incarnation uint64, log *zap.Logger) (*gossip.Fleet, error) {
	f := &w.Fleet
	if f.Gossip == "" {
		return nil, nil //nolint:nilnil // no fleet is not an error
	}
	var key []byte
	var peerTLS *tls.Config
	var err error
	if f.GossipKeyFile != "" {
		if key, err = gossip.LoadKey(f.GossipKeyFile); err != nil {
			return nil, fmt.Errorf("--gossip-key-file: %w", err)
		}
	}
	if f.PeerCert != "" {
		if peerTLS, err = stream.LoadTLS(f.PeerCert, f.PeerKey, f.PeerCA); err != nil {
			return nil, fmt.Errorf("--peer-cert: %w", err)
		}
	}
	listener, err := listenOn("--peer", f.Peer)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(f.Gossip)
	if err != nil {
		return nil, fmt.Errorf("--gossip %q: %w", f.Gossip, err)
	}
	if f.Advertise != "" {
		host = f.Advertise
	}
	peerHost, peerPort, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("--peer %q: %w", f.Peer, err)
	}
	if ip := net.ParseIP(peerHost); f.Advertise != "" || ip.IsUnspecified() {
		peerHost = host
	}
	streams := stream.New(stream.Config{
		Listener: listener, Replica: w.Replica, Incarnation: incarnation, Shards: shard.Count, TLS: peerTLS, Logger: log,
	})
	fleet, err := gossip.New(gossip.Config{
		Replica: w.Replica, Incarnation: incarnation, Shards: shard.Count, Bind: f.Gossip, Advertise: net.JoinHostPort(host, port),
		PeerAddress: net.JoinHostPort(peerHost, peerPort), Seeds: f.Join, Label: f.Name, Key: key,
		Remember: 3 * time.Duration(*w.Store.Lease), Streams: streams, Logger: log,
	})
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("--gossip: %w", err)
	}
	return fleet, nil
}
