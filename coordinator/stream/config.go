package stream

import (
	"crypto/tls"
	"net"
	"time"

	"go.uber.org/zap"
)

// Config describes a replica's end of its streams.
type Config struct {
	// Listener takes streams from other replicas; Close closes it.
	Listener net.Listener
	// Replica and Incarnation are this replica's.
	Replica     string
	Incarnation uint64
	// Shards is the number of shards; a replica with another one is refused.
	Shards int
	// Key is the fleet's: both ends of a stream prove that they know it, and streams are
	// encrypted; nil for none.
	Key []byte
	// TLS is used in both directions; nil for none. See LoadTLS. Without a Key, the
	// certificate must carry the replica's id.
	TLS *tls.Config
	// Ledger is the identity of the ledger that this replica uses; a replica with another
	// one is refused. Empty means unknown; see SetLedger.
	Ledger string
	// Logger gets what concerns an operator; nothing by default.
	Logger *zap.Logger
	// Redial is the longest pause between two tries to reach a replica; 1 s.
	// Shorter reconnects sooner and costs more while a replica is away.
	Redial time.Duration
	// WatchEnd is how long proof that a process has ended is looked for after its stream
	// broke; 10 minutes. As long as the ledger keeps what a lost replica held, so that it
	// is found while it matters.
	WatchEnd time.Duration
	// Backlog is how many messages to one replica may wait to be sent before its
	// stream is given up; 256. The cores have few on their way, so many mean that the
	// other end takes none. Where there are several pools, each has a core.
	Backlog int
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Redial == 0 {
		c.Redial = time.Second
	}
	if c.WatchEnd == 0 {
		c.WatchEnd = 10 * time.Minute
	}
	if c.Backlog == 0 {
		c.Backlog = 256
	}
	return c
}

const (
	// maxMessage bounds a message, in bytes.
	maxMessage = 64 << 20
	// maxID and maxFlow bound names, in bytes.
	maxID, maxFlow = 128, 1024
	// maxPools bounds the pools of a replica.
	maxPools = 10_000
	// handshake is how long a replica may take to say who it is.
	handshake = 5 * time.Second
	// unanswered is how long the other end may leave a keepalive without an answer, or anything that
	// is sent to it unacknowledged.
	unanswered = time.Second
	// maxUnknown connections are open at a time of whose other ends nothing is known, and
	// maxUnknownFrom from one network: a handshake of TLS takes up to 100 kB of memory. A
	// replica needs a few milliseconds for it, and where there is no key until gossip knows of it; who
	// is unknown for longer than courtesy makes room for another.
	maxUnknown, maxUnknownFrom = 128, 32
	courtesy                   = 250 * time.Millisecond
	// farewell is how long the connection of a refused stream is kept for the reason to be written to it,
	// where it is not known whose it is. It is less than the pause before a replica tries again.
	farewell = 20 * time.Millisecond
	// maxUnknownBytes is what may come by such a connection: a handshake with certificates, and
	// what gRPC says before a replica's first words.
	maxUnknownBytes = 64 << 10
	// acquaintance is how long a replica that gossip does not know yet is waited for: it
	// may have heard of this one first.
	acquaintance = 2 * time.Second
	// refusals is how often refused connections are logged at most.
	refusals = 10 * time.Second
)
