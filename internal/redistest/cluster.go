package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/freeport"
)

// slots is how many hash slots a cluster has.
const slots = 16384

// StartCluster starts so many servers as a cluster, each with its part of the slots,
// and returns them and the URL of the whole.
func StartCluster(tb testing.TB, n int) (nodes []*Server, url string) {
	tb.Helper()
	var addresses []string
	for i := range n {
		node := startNode(tb, nodes)
		if err := node.Client().ClusterAddSlotsRange(tb.Context(), i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			tb.Fatalf("give slots to node %d: %v", i, err)
		}
		nodes, addresses = append(nodes, node), append(addresses, node.Address)
	}
	for _, node := range nodes {
		node.await("the cluster to form", func() bool {
			info, err := node.Client().ClusterInfo(tb.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", n))
		})
	}
	return nodes, "redis://" + strings.Join(addresses, ",") + "?cluster=true"
}

// startNode starts a server that joins the nodes there are.
func startNode(tb testing.TB, nodes []*Server) *Server {
	tb.Helper()
	_, bus, _ := strings.Cut(freeport.Address(tb), ":")
	node := Start(tb, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1000")
	node.bus = bus
	if len(nodes) > 0 {
		if err := node.Client().Do(tb.Context(), "cluster", "meet", "127.0.0.1", nodes[0].port(), nodes[0].bus).Err(); err != nil {
			tb.Fatalf("join the cluster: %v", err)
		}
	}
	return node
}

// HolderOf returns the node of a cluster that holds the key.
func HolderOf(tb testing.TB, nodes []*Server, key string) *Server {
	tb.Helper()
	slot, err := nodes[0].Client().ClusterKeySlot(tb.Context(), key).Result()
	if err != nil {
		tb.Fatal(err)
	}
	return nodes[int(slot)*len(nodes)/slots]
}

// MoveSlot has another node of a cluster hold the slot of the key, without what is kept there, and
// returns that node.
func MoveSlot(tb testing.TB, nodes []*Server, key string) (to *Server) {
	tb.Helper()
	from := HolderOf(tb, nodes, key)
	to = nodes[0]
	if to == from {
		to = nodes[1]
	}
	run := func(on *Server, command ...any) any {
		tb.Helper()
		reply, err := on.Client().Do(tb.Context(), command...).Result()
		if err != nil {
			tb.Fatal(err)
		}
		return reply
	}
	run(from, "flushall") // a node gives up no slot with keys
	slot, id := run(from, "cluster", "keyslot", key), run(to, "cluster", "myid")
	for _, node := range append([]*Server{to}, nodes...) { // it must be the first to know
		run(node, "cluster", "setslot", slot, "node", id)
	}
	return to
}

// StartReplica adds a replica of that node to the cluster.
func StartReplica(tb testing.TB, of *Server) *Server {
	tb.Helper()
	id, err := of.Client().ClusterMyID(tb.Context()).Result()
	if err != nil {
		tb.Fatal(err)
	}
	node := startNode(tb, []*Server{of})
	client := node.Client()
	node.await("the node to know whose replica it is to be", func() bool {
		return client.ClusterReplicate(tb.Context(), id).Err() == nil
	})
	node.await("the replica to follow", func() bool {
		info, err := client.Info(tb.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	return node
}

// AwaitMaster waits until the server, a replica so far, is no longer one.
func (s *Server) AwaitMaster() {
	s.tb.Helper()
	client := s.Client()
	s.await("the replica to take over", func() bool {
		info, err := client.Info(s.tb.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "role:master")
	})
}

// Client is a client of this server alone. It is closed when the test ends.
func (s *Server) Client() *goredis.Client {
	client := goredis.NewClient(&goredis.Options{Addr: s.Address})
	s.tb.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *Server) await(what string, done func() bool) {
	s.tb.Helper()
	for until := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			s.tb.Fatalf("waited in vain for %s", what)
		}
	}
}
