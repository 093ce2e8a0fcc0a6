package adversary

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// pose opens a ticket stream as a replica and reports whether it is let in.
func pose(ctx context.Context, address, as, to string, version uint32, incarnation uint64) error {
	client, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // it has asked
	stream, err := ticketpb.NewTicketsClient(client).Connect(ctx)
	if err != nil {
		return err
	}
	hello := &ticketpb.Hello{ProtocolVersion: version, Shards: 256, Replica: as, Incarnation: incarnation, To: to}
	if err := stream.Send(&ticketpb.Message{Hello: hello}); err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// TestImpostor poses as a replica at another one's ticket port: in a fleet with a key it
// is not let in, whatever it says. In one without, it is not let in under an id or a run
// that gossip does not know. Clients notice nothing.
func TestImpostor(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), 0o600); err != nil {
		t.Fatal(err)
	}
	now := uint64(time.Now().UnixNano())
	for _, fleet := range []struct {
		name string
		args []string
		all  bool // nobody is let in, whoever it says it is
	}{{"with a key", []string{"--gossip-key-file", key}, true}, {"without a key", nil, false}} {
		t.Run(fleet.name, func(t *testing.T) {
			t.Parallel()
			c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: processes.StartServers(t, 2, processes.Limit/2)}
			victim := freeport.Address(t)
			c.Add("r1", append(fleet.args, "--peer", victim)...)
			c.Add("r2", fleet.args...)
			c.Add("r3", fleet.args...)
			c.Wait("all agree", processes.Patience, func() bool { return c.Agree(3) })
			l := busy(c)
			for _, as := range []struct {
				id          string
				version     uint32
				incarnation uint64
				known       bool // to gossip
			}{
				{"r2", coordinator.ProtocolVersion, status(c.Replicas[0], "r2").Incarnation, true},
				{"r2", coordinator.ProtocolVersion - 1, status(c.Replicas[0], "r2").Incarnation, true},
				{"r2", coordinator.ProtocolVersion, 1<<64 - 1, false},
				{"r2", coordinator.ProtocolVersion, now + uint64(time.Minute), false},
				{"nobody", coordinator.ProtocolVersion, now, false},
			} {
				if as.known && !fleet.all {
					continue // it says all that there is to know
				}
				posing, done := context.WithTimeout(t.Context(), processes.Patience)
				err := pose(posing, victim, as.id, "r1", as.version, as.incarnation)
				done()
				t.Logf("as %s of run %d, version %d: %v", as.id, as.incarnation, as.version, err)
				if err == nil {
					t.Errorf("who says that it is %s of run %d was let in", as.id, as.incarnation)
				}
			}
			c.Wait("refusals are counted", processes.Patience, func() bool {
				return processes.Metric(t, "weir_fleet_streams_refused_total", c.Replicas[0]) > 0
			})
			c.Wait("the replicas reach each other", processes.Patience, func() bool { return c.Agree(3) })
			c.NoneFailed(fmt.Sprint("an impostor in a fleet ", fleet.name), l, nil)
			c.WithinLimit("an impostor")
		})
	}
}
