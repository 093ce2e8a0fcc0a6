package adversary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestManyMessagesAtOnce has an Envoy open 200 streams on one connection in one moment, each with a body
// of 64 kB in one message: all are let go, where none is half of what there is memory for, and the replica
// keeps to it.
func TestManyMessagesAtOnce(t *testing.T) {
	const streams, budget = 200, 32 << 20
	r := processes.Start(t, "r1", processes.StartServers(t, 1, 8), "--ext-proc", "127.0.0.1:0", "--max-concurrency", fmt.Sprint(streams), "--memory-budget", fmt.Sprint(budget))
	conn, err := grpc.NewClient("passthrough:///"+r.ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is written that matters
	client := extproc.NewExternalProcessorClient(conn)
	body := []byte(`{"model":"m","prompt":"` + strings.Repeat("x", 64<<10) + `"}`)
	headers := &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte("/v1/completions")},
	}}
	ask := func(n int) (failed int) {
		var all sync.WaitGroup
		errs := make(chan error, n)
		for range n {
			all.Go(func() {
				errs <- func() error {
					stream, err := client.Process(t.Context())
					if err != nil {
						return err
					}
					defer stream.CloseSend() //nolint:errcheck // it ends with the connection, too
					_ = stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: headers}}})
					_ = stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: body, EndOfStream: true}}})
					m, err := stream.Recv()
					if err == nil && m.GetImmediateResponse() != nil {
						err = fmt.Errorf("refused: %v", m.GetImmediateResponse())
					}
					return err
				}()
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				if failed++; failed == 1 {
					t.Log(err)
				}
			}
		}
		return failed
	}
	ask(1)
	idle := memory(t, r, "VmRSS")
	for range 3 {
		if failed := ask(streams); failed > 0 {
			t.Errorf("%d of %d streams were cut off or refused", failed, streams)
		}
	}
	peak := memory(t, r, "VmHWM")
	t.Logf("%d MB at the peak, %d MB when idle, with a budget of %d MB", peak>>20, idle>>20, budget>>20)
	// Beside the budget, what is garbage until it is collected: as much again as is in use.
	if peak > idle+2*budget {
		t.Errorf("%d MB of memory at the peak, with a budget of %d", peak>>20, budget>>20)
	}
}

// byExtProc is a stranger's connection of external processing.
type byExtProc struct {
	*http2.Framer
	head  bytes.Buffer
	lines *hpack.Encoder
	last  uint32 // the number of a stream
}

// open opens a stream whose own headers have so many lines beside those that gRPC asks for.
func (c *byExtProc) open(lines int) error {
	c.head.Reset()
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "weir"},
		{":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		_ = c.lines.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
	}
	for range lines { // of one byte each once it has been sent
		_ = c.lines.WriteField(hpack.HeaderField{Name: "x", Value: "y"})
	}
	c.last += 2
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: c.last, BlockFragment: c.head.Bytes(), EndHeaders: true})
}

// parts opens 100 streams on each of which a message of 4 MB is announced and half a megabyte comes.
func (c *byExtProc) parts() error {
	const streams, part = 100, 512 << 10
	for range streams {
		if err := c.open(0); err != nil {
			return err
		}
	}
	for at := 0; at < part; at += 16 << 10 {
		for n := range uint32(streams) {
			data := make([]byte, 16<<10)
			if at == 0 {
				binary.BigEndian.PutUint32(data[1:], 4<<20-100)
				time.Sleep(time.Millisecond) // for its window to be grown
			}
			if err := c.WriteData(2*n+1, false, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestExtProcInMemory has strangers open very many streams of external processing: the replica keeps near
// its budget of memory, whatever they leave unsaid, and others are served.
func TestExtProcInMemory(t *testing.T) {
	slow(t)
	servers := processes.StartServers(t, 1, 8)
	for _, a := range []struct {
		name          string
		conns, budget int
		again         time.Duration // for how long they connect again when they are cut off
		most          int           // of memory, in bytes
		write         func(c *byExtProc) error
	}{
		{"messages that do not come in whole", 20, 64 << 20, 0, 80 << 20, (*byExtProc).parts},
		// Beside the budget, what is garbage until it is collected: as much again as is in use.
		{"no messages, and headers of many lines", 20, 32 << 20, 3 * time.Second, 64 << 20, func(c *byExtProc) error {
			for range 1000 {
				if err := c.open(430); err != nil {
					return err
				}
			}
			return nil
		}},
		{"streams that are given up at once", 60, 32 << 20, 0, 64 << 20, func(c *byExtProc) error {
			for range 5000 {
				if err := c.open(0); err != nil {
					return err
				}
				if err := c.WriteRSTStream(c.last, http2.ErrCodeCancel); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			r := processes.Start(t, "r1", servers, "--ext-proc", "127.0.0.1:0", "--max-concurrency", "8", "--memory-budget", fmt.Sprint(a.budget))
			idle := memory(t, r, "VmRSS")
			var writers sync.WaitGroup
			for range a.conns {
				writers.Go(func() {
					for began := time.Now(); ; {
						conn, err := net.Dial("tcp", r.ExtProc)
						if err != nil {
							t.Error(err)
							return
						}
						t.Cleanup(func() { _ = conn.Close() })
						_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
						cut := make(chan struct{})
						go func() {
							_, _ = io.Copy(io.Discard, conn) // ends with the connection
							close(cut)
						}()
						c := &byExtProc{Framer: http2.NewFramer(conn, nil), last: ^uint32(0)}
						c.lines = hpack.NewEncoder(&c.head)
						_, _ = io.WriteString(conn, http2.ClientPreface)
						_ = c.WriteSettings()
						_ = c.WriteSettingsAck()
						_ = a.write(c) // it may be cut off
						select {
						case <-cut:
						case <-time.After(time.Until(began.Add(a.again))):
							return
						}
					}
				})
			}
			writers.Wait()
			began := time.Now()
			sendByEnvoy(t, r, 1)
			eventually(t, "another is served", 10*time.Second, func() bool {
				pool, err := processes.Get[api.Pool](r, "/v1/pool")
				return err == nil && pool.InFlight > 0
			})
			served := time.Since(began)
			peak := memory(t, r, "VmHWM")
			t.Logf("%d MB at the peak, %d MB when idle, with a budget of %d MB; another was served within %v", peak>>20, idle>>20, a.budget>>20, served)
			if peak > idle+int64(a.most) {
				t.Errorf("%d MB of memory at the peak, with a budget of %d", peak>>20, a.budget>>20)
			}
		})
	}
}
