package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/weirflow/weir/coordinator"
)

// ErrIncompatible wraps why a replica cannot be in the same fleet.
var ErrIncompatible = errors.New("incompatible replica")

// ErrDuplicateID says that another live replica has this one's id.
var ErrDuplicateID = errors.New("the replica id is taken")

// meta is what a member's metadata says. It must stay below memberlist's 512
// bytes.
type meta struct {
	Version     int    `json:"v"`
	Shards      int    `json:"s"`
	Incarnation uint64 `json:"i"`
	Address     string `json:"a"`
	Leaving     bool   `json:"l,omitempty"`
	// Build is Weir's version, cut as they are. Nothing depends on it.
	Build string `json:"w,omitempty"`
	// Ledger is its identity, empty for unknown; Pool and Prefix are cut to maxWords.
	Ledger string `json:"b,omitempty"`
	Pool   string `json:"p,omitempty"`
	Prefix string `json:"k,omitempty"`
	// Settings are fingerprints, as key=print,key=print,...
	Settings string `json:"f,omitempty"`
}

func (m *meta) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain fields
	}
	return data
}

const (
	// maxWords and maxSettings bound what is said in metadata, in bytes.
	maxWords, maxSettings = 40, 200
)

func (f *Fleet) meta() meta {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := meta{
		Version: coordinator.ProtocolVersion, Shards: f.cfg.Shards, Incarnation: f.cfg.Incarnation,
		Address: f.cfg.PeerAddress, Leaving: f.leaving.Load(),
		Build:  words(f.cfg.Build),
		Ledger: f.ledger.Identity, Pool: words(f.ledger.Pool), Prefix: words(f.ledger.Prefix),
	}
	if m.Settings = coordinator.Prints(f.settings); len(m.Settings) > maxSettings {
		m.Settings = "" // they would not fit; the others compare nothing
	}
	return m
}

// words cuts what is for people to read.
func words(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxWords)], "") }

// shares reports whether a replica of this metadata keeps this one's ledger. One that
// does not say, as it does not know, is believed to.
func (f *Fleet) shares(m *meta) bool {
	return m.Ledger == "" || f.ledger.Identity == "" || m.Ledger == f.ledger.Identity
}

// read reads a member's metadata, and refuses a replica that this one cannot
// work with.
func (f *Fleet) read(n *memberlist.Node) (meta, error) {
	var m meta
	if err := json.Unmarshal(n.Meta, &m); err != nil {
		return m, fmt.Errorf("%w: %q at %s is no replica of weir: its metadata cannot be read", ErrIncompatible, n.Name, n.Address())
	}
	m.Build, m.Pool, m.Prefix = words(m.Build), words(m.Pool), words(m.Prefix)
	switch {
	case len(n.Name) > maxID:
		return m, fmt.Errorf("%w: an id of %d bytes at %s", ErrIncompatible, len(n.Name), n.Address())
	case m.Shards != f.cfg.Shards:
		return m, fmt.Errorf("%w: %q has %d shards, this replica %d: give all replicas the same number",
			ErrIncompatible, n.Name, m.Shards, f.cfg.Shards)
	case m.Version < coordinator.ProtocolVersion-1 || m.Version > coordinator.ProtocolVersion+1:
		return m, fmt.Errorf("%w: %q speaks protocol version %d, this replica %d: one apart is the most that works",
			ErrIncompatible, n.Name, m.Version, coordinator.ProtocolVersion)
	case m.Incarnation > uint64(time.Now().Add(maxAhead).UnixNano()) && (n.Name != f.cfg.Replica || m.Incarnation != f.cfg.Incarnation):
		return m, fmt.Errorf("%w: %q at %s says that it started in the future: set its clock right, or this one's", ErrIncompatible, n.Name, n.Address())
	case n.Name == f.cfg.Replica && m.Incarnation != f.cfg.Incarnation && !f.formerly(n, m.Incarnation):
		return m, fmt.Errorf("%w: another process runs as replica %q at %s: give one of them another --replica-id",
			ErrDuplicateID, n.Name, n.Address())
	}
	return m, nil
}

// formerly reports whether a member of this replica's id is an earlier run of it, that
// the others have not noticed to be gone: nobody else can be at its address.
func (f *Fleet) formerly(n *memberlist.Node, incarnation uint64) bool {
	return incarnation < f.cfg.Incarnation && n.Address() == f.Address()
}

const (
	maxID = 128
	// maxAhead is how far another replica's clock may be ahead: an incarnation is when a
	// replica started, and one beyond every clock's would shut out its later runs.
	maxAhead = time.Minute
)
