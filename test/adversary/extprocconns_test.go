package adversary

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/processes"
)

// TestExtProcConnectionsInMemory has strangers connect to external processing and say nothing, or begin
// handshakes of 60 kB, or say that they speak HTTP/2 and no more: the replica keeps near its budget of
// memory, and an Envoy is served.
func TestExtProcConnectionsInMemory(t *testing.T) {
	slow(t)
	const strangers, budget = 3000, 32 << 20
	ca := certtest.New(t)
	cert, key := ca.Issue("r1")
	hello := []byte{1, 0, 0xff, 0xff} // of a client, of 64 kB
	hello = append(hello, make([]byte, 60<<10-len(hello))...)
	var records []byte
	for part := range slices.Chunk(hello, 12<<10) {
		records = append(append(records, 22, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	var settings bytes.Buffer
	settings.WriteString(http2.ClientPreface)
	_ = http2.NewFramer(&settings, nil).WriteSettings() // a buffer takes all
	for _, a := range []struct {
		name   string
		secure bool
		says   []byte
		each   int64 // what each may take beside the budget, in bytes, before it has been idle for long enough to be closed
	}{
		{"nothing", false, nil, 0},
		{"HTTP/2", false, settings.Bytes(), 20 << 10},
		{"long handshakes", true, records, 0},
	} {
		t.Run(a.name, func(t *testing.T) {
			args := []string{"--ext-proc", "127.0.0.1:0", "--memory-budget", fmt.Sprint(budget)}
			creds := insecure.NewCredentials()
			if a.secure {
				args = append(args, "--ext-proc-cert", cert, "--ext-proc-key", key)
				creds = credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13})
			}
			r := processes.Start(t, "r1", processes.StartServers(t, 1, 8), args...)
			envoy, err := grpc.NewClient("passthrough:///"+r.ExtProc, grpc.WithTransportCredentials(creds))
			if err != nil {
				t.Fatal(err)
			}
			defer envoy.Close() //nolint:errcheck // of a test
			ask := func() error {
				_, err := grpc_health_v1.NewHealthClient(envoy).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
				return err
			}
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			idle := memory(t, r, "VmRSS")
			var all sync.WaitGroup
			var open atomic.Int64
			for range 8 {
				all.Go(func() {
					for range strangers / 8 {
						conn, err := net.Dial("tcp", r.ExtProc)
						if err != nil {
							t.Error(err)
							return
						}
						t.Cleanup(func() { _ = conn.Close() })
						_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
						_, _ = conn.Write(a.says) // it may be cut off
						open.Add(1)
						go func() { // ends with the connection
							_, _ = io.Copy(io.Discard, conn)
							open.Add(-1)
						}()
					}
				})
			}
			all.Wait()
			for range 5 {
				if err := ask(); err != nil {
					t.Error(err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			// A quarter of the budget is for connections without a stream, of 16 kB or more each.
			eventually(t, "few strangers are left", 8*time.Second, func() bool { return open.Load() <= budget/4/(16<<10) })
			peak := memory(t, r, "VmHWM")
			t.Logf("%d MB when idle, %d MB beside %d strangers", idle>>20, peak>>20, strangers)
			// Beside the budget, what is garbage until it is collected: as much again as is in use.
			if peak > idle+2*budget+strangers*a.each {
				t.Errorf("%d MB of memory at the peak and %d when idle, with a budget of %d", peak>>20, idle>>20, budget>>20)
			}
		})
	}
}
