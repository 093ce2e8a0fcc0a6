package gossip

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream"
)

// Config describes a replica's part in the gossip.
type Config struct {
	// Replica and Incarnation are this replica's; Shards is the number of shards.
	Replica     string
	Incarnation uint64
	Shards      int
	// Bind is where to listen, by TCP and UDP, as host:port.
	Bind string
	// Advertise is where the others reach it, as IP:port; Bind by default, which
	// must then not be an unspecified address.
	Advertise string
	// PeerAddress is where the others reach its ticket streams.
	PeerAddress string
	// Build is the version of Weir that this replica runs, for people to read.
	Build string
	// Seeds are replicas to join by, as host:port; a host name stands for all its
	// addresses, such as a headless Service's.
	Seeds []string
	// Ledger is the ledger that this replica uses. A replica with another one is not a
	// member; see SetLedger.
	Ledger coordinator.Ledger
	// Settings are fingerprints of what should be the same at all replicas; see
	// SetSettings.
	Settings []coordinator.Setting
	// Label must be the same in a fleet: gossip under another one is ignored.
	Label string
	// Key encrypts the gossip; 16, 24 or 32 bytes, or nil for none.
	Key []byte
	// Rejoin is how often the seeds are asked again, so that the two halves of a
	// split find each other; 5 s. Shorter heals sooner.
	Rejoin time.Duration
	// Remember is how long a dead replica is reported to the ledger; 10 s, which
	// should be more than the ledger's lease.
	Remember time.Duration
	// Streams carries the tickets.
	Streams *stream.Streams
	// Network, if set, is put between the gossip and the network, such as to
	// cut it.
	Network func(*memberlist.NetTransport) memberlist.NodeAwareTransport
	// Logger gets what concerns an operator; nothing by default.
	Logger *zap.Logger
	// silence is for how long a stream may say nothing. 0 is 2 s.
	silence time.Duration
}

func (c Config) withDefaults() Config {
	if c.Rejoin == 0 {
		c.Rejoin = 5 * time.Second
	}
	if c.Remember == 0 {
		c.Remember = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.silence == 0 {
		c.silence = 2 * time.Second
	}
	return c
}

// memberlist is tuned so that a death is noticed in under 2 s: a probe every
// 200 ms, 100 ms for its answer, and a suspect has 3 × log(n) probes to answer
// for itself. On a starved machine Lifeguard's awareness stretches these.
func (c *Config) memberlist() (*memberlist.Config, error) {
	m := memberlist.DefaultLANConfig()
	m.Name, m.Label, m.SecretKey = c.Replica, c.Label, c.Key
	m.ProbeInterval, m.ProbeTimeout = 200*time.Millisecond, 100*time.Millisecond
	m.SuspicionMult, m.SuspicionMaxTimeoutMult = 3, 2
	m.GossipInterval = 50 * time.Millisecond
	m.PushPullInterval = 5 * time.Second
	m.TCPTimeout = c.silence
	m.GossipToTheDeadTime = 30 * time.Second
	m.DeadNodeReclaimTime = time.Second
	var err error
	if m.BindAddr, m.BindPort, err = splitAddress(c.Bind); err != nil {
		return nil, fmt.Errorf("bind address: %w", err)
	}
	advertise := c.Advertise
	if advertise == "" {
		advertise = c.Bind
	}
	if m.AdvertiseAddr, m.AdvertisePort, err = splitAddress(advertise); err != nil {
		return nil, fmt.Errorf("advertised address: %w", err)
	}
	ip := net.ParseIP(m.AdvertiseAddr)
	if ip == nil || ip.IsUnspecified() {
		return nil, fmt.Errorf("advertised address: %q can't be reached by others: give an IP address of this machine", m.AdvertiseAddr)
	}
	quiet := c.Logger.WithOptions(zap.WrapCore(seldom))
	m.Logger = log.New(logWriter{quiet}, "", 0)
	m.LogOutput = nil
	network, err := listen(m)
	if err != nil {
		return nil, err
	}
	if m.AdvertisePort == 0 {
		m.AdvertisePort = m.BindPort
	}
	var between memberlist.NodeAwareTransport = network
	if c.Network != nil {
		between = c.Network(network)
	}
	m.Transport = bounded(between, quiet)
	return m, nil
}

// listen binds the gossip's port, for TCP and UDP. Any free one may be taken for one of them
// only.
func listen(m *memberlist.Config) (network *memberlist.NetTransport, err error) {
	tries := 1
	if m.BindPort == 0 {
		tries = 10
	}
	for range tries {
		network, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{m.BindAddr}, BindPort: m.BindPort, Logger: m.Logger})
		if err == nil {
			m.BindPort = network.GetAutoBindPort()
			return network, nil
		}
	}
	return nil, err
}

func splitAddress(address string) (host string, port int, err error) {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", 0, err
	}
	if tcp.IP == nil {
		tcp.IP = net.IPv4zero
	}
	return tcp.IP.String(), tcp.Port, nil
}

// LoadKey reads a gossip key: base64 of 16, 24 or 32 bytes.
func LoadKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load the gossip key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errors.New("load the gossip key: it must be base64")
	}
	if n := len(key); n != 16 && n != 24 && n != 32 {
		return nil, fmt.Errorf("load the gossip key: it has %d bytes, it must have 16, 24 or 32", n)
	}
	return key, nil
}
