package extproc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// healthEvery is how often a replica's health is asked for, as deploy/envoy has it.
const healthEvery = 200 * time.Millisecond

// ErrNoReplica says that no replica of a cluster is healthy.
var ErrNoReplica = errors.New("no replica is healthy")

// Cluster is an Envoy with several replicas of its external processor. It uses the
// healthy ones in rotation, and another where a connection fails; a stream that has begun
// is never retried.
type Cluster struct {
	replicas []*Replica
	next     atomic.Uint64
	stop     context.CancelFunc
	checks   sync.WaitGroup
}

// Replica is one external processor of a Cluster.
type Replica struct {
	*Driver
	conn    *grpc.ClientConn
	healthy atomic.Bool
}

// Dial returns a cluster of the replicas at the addresses.
func Dial(addresses ...string) (*Cluster, error) {
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{stop: stop}
	for _, a := range addresses {
		conn, err := grpc.NewClient("passthrough:///"+a, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("dial %s: %w", a, err)
		}
		r := &Replica{Driver: New(conn), conn: conn}
		r.check(ctx)
		c.replicas = append(c.replicas, r)
		c.checks.Go(func() {
			ticker := time.NewTicker(healthEvery)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					r.check(ctx)
				}
			}
		})
	}
	return c, nil
}

// Close ends the health checks and the connections.
func (c *Cluster) Close() {
	c.stop()
	c.checks.Wait()
	for _, r := range c.replicas {
		r.Driver.Close()
		_ = r.conn.Close()
	}
}

func (r *Replica) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	res, err := grpc_health_v1.NewHealthClient(r.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	r.healthy.Store(err == nil && res.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING)
}

// Do makes a request by the next healthy replica.
func (c *Cluster) Do(ctx context.Context, r Request) (*Response, error) {
	start := c.next.Add(1)
	err := ErrNoReplica
	for i := range c.replicas {
		replica := c.replicas[(start+uint64(i))%uint64(len(c.replicas))]
		if !replica.healthy.Load() {
			continue
		}
		var res *Response
		res, err = replica.Do(ctx, r)
		if err == nil || !strings.Contains(err.Error(), "Error while dialing") {
			return res, err
		}
	}
	return nil, err
}

// Replica returns the replica of the i-th address, for requests that go through no other.
func (c *Cluster) Replica(i int) *Replica { return c.replicas[i] }
