package adversary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestExtProcInMemory has strangers open streams of external processing on each of which a message of
// 4 MB is announced and half a megabyte of it comes: the replica keeps near its budget of memory, and
// others are served.
func TestExtProcInMemory(t *testing.T) {
	slow(t)
	const conns, streams, part, budget = 20, 100, 512 << 10, 64 << 20
	r := processes.Start(t, "r1", processes.StartServers(t, 1, 8), "--ext-proc", "127.0.0.1:0", "--max-concurrency", "8", "--memory-budget", fmt.Sprint(budget))
	idle := memory(t, r, "VmRSS")
	var writers sync.WaitGroup
	for range conns {
		writers.Go(func() {
			conn, err := net.Dial("tcp", r.ExtProc)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
			f := http2.NewFramer(conn, nil)
			_, _ = io.WriteString(conn, http2.ClientPreface)
			_ = f.WriteSettings()
			_ = f.WriteSettingsAck()
			for n := range uint32(streams) {
				var head bytes.Buffer
				text := hpack.NewEncoder(&head)
				for _, h := range [][2]string{
					{":method", "POST"},
					{":scheme", "http"},
					{":authority", "weir"},
					{":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"},
					{"content-type", "application/grpc"},
					{"te", "trailers"},
				} {
					_ = text.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
				}
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: head.Bytes(), EndHeaders: true})
			}
			for at := 0; at < part; at += 16 << 10 {
				for n := range uint32(streams) {
					data := make([]byte, 16<<10)
					if at == 0 {
						binary.BigEndian.PutUint32(data[1:], 4<<20-100)
						time.Sleep(time.Millisecond) // for its window to be grown
					}
					if f.WriteData(2*n+1, false, data) != nil {
						return // it was cut off
					}
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
	t.Logf("%d MB at the peak, %d MB when idle, with a budget of %d MB; another was served within %v", peak>>20, idle>>20, budget>>20, served)
	if peak > idle+budget+budget/4 {
		t.Errorf("%d MB of memory at the peak, with a budget of %d", peak>>20, budget>>20)
	}
}
