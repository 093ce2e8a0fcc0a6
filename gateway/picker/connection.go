package picker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // checks the health of what a service config says
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/internal/protocodec"
)

// serviceConfig has a picker that says that it is not well count as one that is not connected.
const serviceConfig = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`

// picker is one address.
type picker struct {
	address string // IP address and port
	of      *name  // that it has, or had
	conn    *grpc.ClientConn
	stop    context.CancelFunc // of its watch

	// What follows is guarded by the pickers' mutex.
	met      bool // it was connected, and well
	gone     bool // its name has that address no more
	standing standing
	streams  int        // that are open
	used     int        // of them, those that requests have
	spares   []*Stream  // of them, those that none has yet; the oldest first
	openings []*opening // that are under way; the oldest first
	probe    *Claim     // of the request that finds out whether it answers again; nil for none
	// asked, failed and ejected count since the start; problem is what last went wrong.
	asked, failed, ejected uint64
	problem                string
	problemAt              time.Time
}

// connect connects to a picker of a name, which its certificate must have.
func connect(address string, n *name) (*picker, error) {
	var options []grpc.DialOption
	if n.secure == nil || n.secure.ServerName == "" { // which is the name then
		options = append(options, grpc.WithAuthority(n.hostPort))
	}
	creds := insecure.NewCredentials()
	if n.secure != nil {
		creds = credentials.NewTLS(n.secure)
	}
	conn, err := grpc.NewClient("dns:///"+address, append(options,
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(protocodec.New())),
		grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(serviceConfig), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 2 * time.Second,
		}))...)
	if err != nil {
		return nil, fmt.Errorf("picker %s: %w", address, err)
	}
	conn.Connect()
	return &picker{address: address, of: n, conn: conn}, nil
}

// watch says when a picker can be reached, and when not and why.
func (p *Pickers) watch(ctx context.Context, one *picker) {
	log := p.log.With(zap.String("picker", one.address))
	usable, met := true, false // so that one that cannot be used from the start is told
	for {
		state := one.conn.GetState()
		switch {
		case state == connectivity.Idle:
			one.conn.Connect()
		case state == connectivity.TransientFailure && usable:
			usable = false
			err := one.check(ctx)
			p.mu.Lock()
			one.wrong(err, time.Now())
			p.mu.Unlock()
			log.Warn("a picker cannot be used", zap.Error(err))
		case state == connectivity.Ready && !usable:
			usable = true
			log.Info("a picker can be used again")
		}
		if state == connectivity.Ready && !met {
			met = true
			p.mu.Lock()
			one.met = true
			p.mu.Unlock()
			if status.Code(one.check(ctx)) == codes.Unimplemented {
				log.Info("a picker serves no gRPC health checks: it is used for as long as it is connected and answers")
			}
		}
		if !one.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// check asks the picker how it is, and so finds out why it cannot be asked.
func (p *picker) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

// ready reports whether the picker is connected, and well as far as it says.
func (p *picker) ready() bool { return p.conn.GetState() == connectivity.Ready }

// quiet reports whether the picker keeps requests waiting for a stream or for an answer.
func (p *picker) quiet(now time.Time) bool {
	return p.standing.quiet(now) || len(p.openings) >= maxOpenings || len(p.openings) > 0 && now.Sub(p.openings[0].began) > quietAfter
}
