package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

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
	// Build is Weir's version, cut to maxBuild bytes. Nothing depends on it.
	Build string `json:"w,omitempty"`
}

// maxBuild bounds what a replica says of its build.
const maxBuild = 48

func (m *meta) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain fields
	}
	return data
}

func (f *Fleet) meta() meta {
	return meta{
		Version: coordinator.ProtocolVersion, Shards: f.cfg.Shards, Incarnation: f.cfg.Incarnation,
		Address: f.cfg.PeerAddress, Leaving: f.leaving.Load(),
		Build: strings.ToValidUTF8(f.cfg.Build[:min(maxBuild, len(f.cfg.Build))], ""),
	}
}

// read reads a member's metadata, and refuses a replica that this one cannot
// work with.
func (f *Fleet) read(n *memberlist.Node) (meta, error) {
	var m meta
	if err := json.Unmarshal(n.Meta, &m); err != nil {
		return m, fmt.Errorf("%w: %q at %s is no replica of weir: its metadata cannot be read", ErrIncompatible, n.Name, n.Address())
	}
	m.Build = strings.ToValidUTF8(m.Build[:min(maxBuild, len(m.Build))], "")
	switch {
	case len(n.Name) > maxID:
		return m, fmt.Errorf("%w: an id of %d bytes at %s", ErrIncompatible, len(n.Name), n.Address())
	case m.Shards != f.cfg.Shards:
		return m, fmt.Errorf("%w: %q has %d shards, this replica %d: give all replicas the same number",
			ErrIncompatible, n.Name, m.Shards, f.cfg.Shards)
	case m.Version < coordinator.ProtocolVersion-1 || m.Version > coordinator.ProtocolVersion+1:
		return m, fmt.Errorf("%w: %q speaks protocol version %d, this replica %d: one apart is the most that works",
			ErrIncompatible, n.Name, m.Version, coordinator.ProtocolVersion)
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

const maxID = 128
