package replica

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/serving"
	"github.com/weirflow/weir/internal/protocodec"
)

// extProc serves external processing, and health beside it. It is a serving.Service.
type extProc struct {
	listener net.Listener
	secure   *tls.Config // nil for plain text
	server   *grpc.Server
	health   *boundHealth
	named    map[string]bool // the pools that health checks are told of
}

// newExtProc binds the address.
func newExtProc(plan *config.Plan, log *zap.Logger) (*extProc, error) {
	w := &plan.File.Weir.ExtProc
	options := []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(10 * time.Second),
		// Envoys open another connection for more streams. Whose a stream is stands in its first
		// message; its own headers are few, and gRPC would take 16 MB of them.
		grpc.MaxConcurrentStreams(1000), grpc.MaxHeaderListSize(headers.DefaultMaxBytes),
		// Windows that are measured cost a ping for each part of a stream, and hold more of
		// a body that is not read than is needed.
		grpc.InitialWindowSize(64 << 10), grpc.InitialConnWindowSize(1 << 20),
		grpc.ForceServerCodecV2(protocodec.New()),
	}
	var secure *tls.Config
	if w.Cert != "" {
		cert, err := serving.NewCertificate(w.Cert, w.Key, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.extProc.cert"), err)
		}
		secure = cert.Config()
		secure.NextProtos = []string{"h2"}
	}
	l, err := serving.Listen(plan.Name("weir.extProc.listen"), w.Listen)
	if err != nil {
		return nil, err
	}
	return &extProc{listener: l, secure: secure, server: grpc.NewServer(options...), health: newBoundHealth()}, nil
}

// register says what is served.
func (s *extProc) register(p *envoy.Processor) {
	services := uncompressed{s.server}
	p.Register(services)
	grpc_health_v1.RegisterHealthServer(services, s.health)
	for _, service := range []string{"", "envoy.service.ext_proc.v3.ExternalProcessor"} {
		s.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVING)
	}
}

// follow has health checks that ask for a pool by its name be told whether there is one. It
// must not be called twice at a time.
func (s *extProc) follow(pools []*pool) {
	named := make(map[string]bool)
	for _, p := range pools {
		named[p.name] = true
		s.health.SetServingStatus(p.name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	for name := range s.named {
		if !named[name] {
			s.health.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		}
	}
	s.named = named
}

// Serve serves until it is stopped.
func (s *extProc) Serve() error { return s.server.Serve(s.listener) }

// Retire tells health checks that no new streams should come.
func (s *extProc) Retire() { s.health.Shutdown() }

// Stop takes no new streams, and lets those under way end until ctx does.
func (s *extProc) Stop(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { // ends with the last stream, or with those that Stop cuts off
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
