package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway"
)

// extProcServer serves external processing, and health beside it.
type extProcServer struct {
	listener net.Listener
	server   *grpc.Server
	health   *health.Server
}

// newExtProc binds the address; nil without one.
func newExtProc(w *config.Weir, g *gateway.Gateway) (*extProcServer, error) {
	if w.ExtProc.Listen == "" {
		return nil, nil //nolint:nilnil // none was asked for
	}
	options := []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(10 * time.Second),
	}
	if w.ExtProc.Cert != "" {
		cert, err := tls.LoadX509KeyPair(w.ExtProc.Cert, w.ExtProc.Key)
		if err != nil {
			return nil, fmt.Errorf("--ext-proc-cert: %w", err)
		}
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})))
	}
	l, err := listenOn("--ext-proc", w.ExtProc.Listen)
	if err != nil {
		return nil, err
	}
	s := &extProcServer{listener: l, server: grpc.NewServer(options...), health: health.NewServer()}
	gateway.NewExtProc(g).Register(s.server)
	grpc_health_v1.RegisterHealthServer(s.server, s.health)
	for _, service := range []string{"", "envoy.service.ext_proc.v3.ExternalProcessor", w.Pool} {
		s.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return s, nil
}

// serve serves until it is stopped.
func (s *extProcServer) serve() error { return s.server.Serve(s.listener) }

// retire tells health checks that no new streams should come.
func (s *extProcServer) retire() { s.health.Shutdown() }

// stop takes no new streams, and lets those under way end until ctx does.
func (s *extProcServer) stop(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		s.server.GracefulStop()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.server.Stop()
		<-ended
		return fmt.Errorf("external processing streams were cut off: %w", ctx.Err())
	}
}

func (s *extProcServer) address() string {
	if s == nil {
		return ""
	}
	return s.listener.Addr().String()
}
