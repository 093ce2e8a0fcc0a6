package adversary

import (
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/test/process"
)

// peer is what a replica says of another one, or nil.
func peer(r *process.Replica, id string) *gateway.ReplicaStatus {
	peers, err := process.Get[[]gateway.ReplicaStatus](r, "/v1/replicas")
	if err != nil {
		return nil
	}
	for i := range peers {
		if peers[i].ID == id {
			return &peers[i]
		}
	}
	return nil
}

// reaches reports whether a replica hands tickets to another.
func reaches(r *process.Replica, id string) bool {
	p := peer(r, id)
	return p != nil && p.Live && p.Reachable
}
