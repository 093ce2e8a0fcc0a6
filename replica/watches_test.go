package replica_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
)

// from connects to a replica's external processing from an address of this machine, until the test ends.
func (r *running) from(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := grpc.NewClient("passthrough:///"+r.processing(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", to) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestCompressedMessagesAreRefused wants external processing and health checks to take no compressed
// messages, which are counted by what comes and not by what they are: of 4 kB gzip makes 4 MB.
func TestCompressedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "", map[string]string{"ext-proc": "127.0.0.1:0"})
	conn := r.from(t, "127.0.0.1")
	packed := grpc.UseCompressor(gzip.Name)
	large := &grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("x", 1<<20)}
	health := grpc_health_v1.NewHealthClient(conn)
	refused := func(what string, err error) {
		t.Helper()
		if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "gzip") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := health.Check(t.Context(), large, packed)
	refused("a health check", err)
	watch, err := health.Watch(t.Context(), large, packed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = watch.Recv()
	refused("a watch", err)
	stream, err := extproc.NewExternalProcessorClient(conn).Process(t.Context(), packed)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&extproc.ProcessingRequest{}) // it may be over by now
	_, err = stream.Recv()
	refused("external processing", err)
	if _, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("a health check as it is: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestWatchesAreBounded has a stranger watch the replica's health by 1,000 streams, each of which takes
// memory for as long as it likes. There are 256, and who had one of them before keeps it.
func TestWatchesAreBounded(t *testing.T) {
	t.Parallel()
	const most = 256
	r := start(t, "", map[string]string{"ext-proc": "127.0.0.1:0", "drain-timeout": "1s"})
	serving := func(w grpc_health_v1.Health_WatchClient) {
		t.Helper()
		if m, err := w.Recv(); err != nil || m.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Fatalf("%v, %v", m, err)
		}
	}
	watch := func(conn *grpc.ClientConn, service string) grpc_health_v1.Health_WatchClient {
		t.Helper()
		w, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	honest := watch(r.from(t, "127.0.0.2"), "")
	serving(honest)
	stranger := r.from(t, "127.0.0.3")
	ended := make(chan error, 1000)
	for range cap(ended) {
		w := watch(stranger, "")
		serving(w)
		go func() { // ends with the test
			_, err := w.Recv()
			ended <- err
		}()
	}
	late := time.After(10 * time.Second)
	for n := 1; n <= cap(ended)-most+1; n++ { // the honest one has one
		select {
		case err := <-ended:
			if status.Code(err) != codes.Unimplemented { // to clients that says that it is not known
				t.Fatal(err)
			}
		case <-late:
			t.Fatalf("%d watches of 1,000 were ended, want %d", n-1, cap(ended)-most+1)
		}
	}
	serving(watch(r.from(t, "127.0.0.4"), "")) // one more, of somebody else
	if _, err := watch(stranger, strings.Repeat("x", 1<<20)).Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a watch of a name of 1 MB: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if m, err := honest.Recv(); err != nil || m.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("who watched before is told %v, %v of the end", m, err)
	}
	_ = stranger.Close()
	<-stopped // its watches are cut off
}
