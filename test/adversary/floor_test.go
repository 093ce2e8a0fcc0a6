package adversary

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/processes"
)

// floorVariable has the test's binary serve as little as can be, by a door and for so many requests.
const floorVariable = "WEIR_FLOOR"

// startFloor starts a server that has read each request and waits, and does nothing else: by net/http or
// gRPC alone. What a request takes there is the least that it can take in a replica.
func startFloor(t *testing.T, door string, n int) (r *processes.Replica, allWait func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", floorVariable, door, n))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	says := bufio.NewScanner(out)
	if !says.Scan() {
		t.Fatal("it says nothing")
	}
	address := says.Text()
	return &processes.Replica{URL: "http://" + address, ExtProc: address, Process: cmd}, func() {
		t.Helper()
		if !says.Scan() {
			t.Fatal("it ended")
		}
	}
}

// serveFloor is what startFloor starts.
func serveFloor(what string) {
	var (
		door string
		n    int64
		wait atomic.Int64
	)
	_, _ = fmt.Sscan(what, &door, &n)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	waits := func() {
		if wait.Add(1) == n {
			fmt.Println("all wait")
		}
	}
	if door == "ext_proc" {
		s := grpc.NewServer(grpc.MaxConcurrentStreams(1000), grpc.InitialWindowSize(64<<10), grpc.InitialConnWindowSize(1<<20))
		extproc.RegisterExternalProcessorServer(s, floor{waits: waits})
		panic(s.Serve(l))
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			panic(err)
		}
		waits()
		<-r.Context().Done()
		_ = strings.HasPrefix(string(body[:1]), "{") // which is needed until then
	})}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	panic(s.Serve(l))
}

// floor is an external processor that does nothing.
type floor struct {
	extproc.UnimplementedExternalProcessorServer
	waits func()
}

// Process takes headers and a body, and waits.
func (f floor) Process(s extproc.ExternalProcessor_ProcessServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	body, err := s.Recv()
	if err != nil {
		return err
	}
	kept := body.GetRequestBody().GetBody()
	f.waits()
	<-s.Context().Done()
	_ = strings.HasPrefix(string(kept[:1]), "{") // which is needed until then
	return nil
}

// sendByHTTP2 sends n requests of 4 kB, 100 by each connection: by TLS where the replica's address says so.
// They end with the test.
func sendByHTTP2(t *testing.T, r *processes.Replica, ca *certtest.CA, n int) {
	t.Helper()
	const each = 100
	head, body, _ := strings.Cut(waiting, "\r\n\r\n")
	line, fields, _ := strings.Cut(head, "\r\n")
	scheme, address, _ := strings.Cut(r.URL, "://")
	for ; n > 0; n -= each {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if scheme == "https" {
			conn = tls.Client(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		var block bytes.Buffer
		text, f := hpack.NewEncoder(&block), http2.NewFramer(conn, nil)
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_ = f.WriteSettings()
		for i := range uint32(min(n, each)) {
			block.Reset()
			for _, h := range [][2]string{{":method", strings.Fields(line)[0]}, {":scheme", scheme}, {":path", strings.Fields(line)[1]}, {":authority", "weir"}} {
				_ = text.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
			}
			for field := range strings.SplitSeq(fields, "\r\n") {
				name, value, _ := strings.Cut(field, ": ")
				if name != "Host" {
					_ = text.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value})
				}
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true})
			if err := f.WriteData(2*i+1, true, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
