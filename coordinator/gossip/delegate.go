package gossip

import (
	"errors"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// delegate is the Fleet as memberlist sees it. Each method is of one of its
// delegate interfaces.
type delegate struct{ *Fleet }

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(limit int) []byte {
	m := d.meta()
	data := m.encode()
	if len(data) > limit { // the others can do without what is for people to read
		m.Build, m.Pool, m.Prefix = "", "", ""
		data = m.encode()
	}
	return data
}

// NotifyMsg implements memberlist.Delegate; replicas send none.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate; replicas send none.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate; there is none.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate; there is none.
func (delegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.learn(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.learn(n) }

// NotifyLeave implements memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	d.mu.Lock()
	// memberlist does not say here whether it left or died, but a replica that leaves
	// announces it before.
	if k, ok := d.known[n.Name]; ok && !k.Leaving {
		d.dead[n.Name] = time.Now()
	}
	delete(d.known, n.Name)
	d.mu.Unlock()
	d.changed()
}

// learn notes what a replica says of itself.
func (d delegate) learn(n *memberlist.Node) {
	m, err := d.read(n)
	if err != nil {
		return // NotifyAlive said so
	}
	d.mu.Lock()
	d.known[n.Name] = known{id: n.Name, meta: m, gossip: &net.UDPAddr{IP: n.Addr, Port: int(n.Port)}}
	d.mu.Unlock()
	d.changed()
}

// NotifyAlive implements memberlist.AliveDelegate: what it refuses is not taken
// in.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	_, err := d.read(n)
	if err != nil {
		d.refuse(n, err)
	}
	return err
}

// NotifyMerge implements memberlist.MergeDelegate: it refuses a whole join.
func (d delegate) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if n.State != memberlist.StateAlive {
			continue
		}
		if _, err := d.read(n); err != nil {
			d.refuse(n, err)
			return err
		}
	}
	return nil
}

// NotifyConflict implements memberlist.ConflictDelegate. It is called with each message that says so, some
// twenty times a second, until the end of one of them is noticed.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	if d.once(existing.Name, "at "+existing.Address()+" and "+other.Address()) {
		d.cfg.Logger.Warn("a replica's id is in use at two addresses: if it was started again elsewhere, the end of the earlier one "+
			"will be noticed; if both are to run, give one of them another --replica-id", zap.String("id", existing.Name),
			zap.String("address", existing.Address()), zap.String("other_address", other.Address()))
	}
}

// refuse notes that this replica's id is taken, and logs a refusal, once for
// every replica and reason.
func (d delegate) refuse(n *memberlist.Node, err error) {
	if errors.Is(err, ErrDuplicateID) {
		d.duplicate(err)
	}
	if d.once(n.Name, err.Error()) {
		d.cfg.Logger.Warn("refused a replica", zap.String("id", n.Name), zap.Error(err))
	}
}

// once reports whether that is to be said of a replica: it was not yet, as far as is remembered.
func (d delegate) once(id, what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.said) > 1000 {
		clear(d.said)
	}
	text := [2]string{id, what}
	if d.said[text] {
		return false
	}
	d.said[text] = true
	return true
}
