package adversary

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/processes"
)

// flooding is a stranger's connection of HTTP/2, by either door.
type flooding struct {
	*http2.Framer
	path, kind string
	head       bytes.Buffer
	text       *hpack.Encoder
	last       uint32 // the number of a stream
	sent       uint32 // windows
}

func (c *flooding) byHTTP() bool { return c.kind == "application/json" }

// block is a head with so many lines of the value beside those that it needs.
func (c *flooding) block(lines int, value string) []byte {
	c.head.Reset()
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":authority", "weir"},
		{":path", c.path},
		{"content-type", c.kind},
		{"te", "trailers"},
	} {
		_ = c.text.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
	}
	return c.more(lines, value)
}

// more is the block so far and so many lines of the value.
func (c *flooding) more(lines int, value string) []byte {
	for range lines {
		_ = c.text.WriteField(hpack.HeaderField{Name: "x", Value: value})
	}
	return c.head.Bytes()
}

// open opens a stream by a head, which may be all there is.
func (c *flooding) open(block []byte, whole, last bool) error {
	c.last += 2
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: c.last, BlockFragment: block, EndHeaders: whole, EndStream: last})
}

const trailers = "trailers of many lines"

// floods are frames of HTTP/2 that cost a client little. Each is sent once to begin with, and then over and
// over.
var floods = []struct {
	name  string
	begin func(c *flooding) error
	again func(c *flooding) error
}{
	{"heads that are continued by nothing", func(c *flooding) error { return c.open(c.block(0, ""), false, false) }, func(c *flooding) error {
		return c.WriteContinuation(c.last, false, nil)
	}},
	{"settings", nil, func(c *flooding) error { return c.WriteSettings() }},
	{"windows of all streams", openHundred, func(c *flooding) error {
		return c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	}},
	{"pings", nil, func(c *flooding) error { return c.WritePing(false, [8]byte{}) }},
	{"priorities", nil, func(c *flooding) error {
		c.last += 2
		return c.WritePriority(c.last, http2.PriorityParam{Weight: 1})
	}},
	{"streams that are given up", nil, func(c *flooding) error {
		if err := c.open(c.block(0, ""), true, false); err != nil {
			return err
		}
		return c.WriteRSTStream(c.last, http2.ErrCodeCancel)
	}},
	{"empty data", func(c *flooding) error { return c.open(c.block(0, ""), true, false) }, func(c *flooding) error {
		return c.WriteData(c.last, false, nil)
	}},
	{"windows of one byte", openHundred, func(c *flooding) error {
		if c.sent++; c.sent%5000 == 0 && c.byHTTP() { // before they are answered in whole
			return openHundred(c)
		}
		return c.WriteWindowUpdate(c.last-2*(c.sent%100), 1) // one of those that are open, in turn
	}},
	{"heads of megabytes in a few kB", nil, func(c *flooding) error { return c.open(c.block(4000, strings.Repeat("z", 3900)), true, true) }},
	{"requests of nothing", nil, func(c *flooding) error { return c.open(c.block(0, ""), true, true) }},
	{trailers, nil, func(c *flooding) error {
		if err := c.open(c.block(0, ""), true, false); err != nil {
			return err
		}
		c.head.Reset()
		return c.WriteHeaders(http2.HeadersFrameParam{StreamID: c.last, BlockFragment: c.more(400, "y"), EndHeaders: true, EndStream: true})
	}},
}

// openHundred opens as many streams, which stay open: by HTTP for their answers, of which a byte is taken,
// and else for what is still to come.
func openHundred(c *flooding) error {
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	for range 100 {
		if err := c.open(c.block(0, ""), true, c.byHTTP()); err != nil {
			return err
		}
	}
	return nil
}

// refusal reads what the server says until the connection ends, and returns the error that it ended it with,
// if it said one.
func refusal(conn io.Reader) (code http2.ErrCode) {
	f := http2.NewFramer(io.Discard, conn)
	for {
		read, err := f.ReadFrame()
		if err != nil {
			return code
		}
		if away, ok := read.(*http2.GoAwayFrame); ok && away.ErrCode != http2.ErrCodeNo {
			code = away.ErrCode
		}
	}
}

// TestFloods has strangers send what costs little to send by HTTP/2, as fast as it goes and again when they
// are cut off, by either door: the replica keeps near its budget of memory, and others are answered.
func TestFloods(t *testing.T) {
	slow(t)
	const conns, budget, lasts = 16, 32 << 20, 1500 * time.Millisecond
	ca := certtest.New(t)
	cert, key := ca.Issue("r1")
	servers := processes.StartServers(t, 1, 8)
	secure := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}
	for _, door := range []string{"http", "ext_proc"} {
		for _, flood := range floods {
			t.Run(door+"/"+flood.name, func(t *testing.T) {
				r := processes.Start(t, "r1", servers, "--ext-proc", "127.0.0.1:0", "--memory-budget", fmt.Sprint(budget), "--tls-cert", cert, "--tls-key", key)
				dial := func() (net.Conn, error) { return tls.Dial("tcp", strings.TrimPrefix(r.URL, "http://"), secure) }
				path, kind := "/v1/completions", "application/json"
				ask := asksByHTTP(t, r, ca)
				if door == "ext_proc" {
					dial = func() (net.Conn, error) { return net.Dial("tcp", r.ExtProc) }
					path, kind = "/envoy.service.ext_proc.v3.ExternalProcessor/Process", "application/grpc"
					ask = asksByExtProc(t, r)
				}
				ask()
				idle := memory(t, r, "VmRSS")
				var stop atomic.Bool
				var strangers sync.WaitGroup
				var frames atomic.Int64
				var codes [16]atomic.Int64 // of errors that connections were ended with
				for range conns {
					strangers.Go(func() {
						for !stop.Load() {
							conn, err := dial()
							if err != nil {
								time.Sleep(time.Millisecond)
								continue
							}
							_ = conn.SetDeadline(time.Now().Add(lasts + time.Second))
							strangers.Go(func() { codes[refusal(conn)%16].Add(1) }) // ends with the connection
							c := &flooding{Framer: http2.NewFramer(conn, nil), path: path, kind: kind, last: ^uint32(0)}
							c.AllowIllegalWrites = true
							c.text = hpack.NewEncoder(&c.head)
							_, _ = io.WriteString(conn, http2.ClientPreface)
							_ = c.WriteSettings()
							if flood.begin != nil {
								err = flood.begin(c)
							}
							for err == nil && !stop.Load() {
								err = flood.again(c)
								frames.Add(1)
							}
							_ = conn.Close()
						}
					})
				}
				var longest time.Duration
				for began := time.Now(); time.Since(began) < lasts; time.Sleep(20 * time.Millisecond) {
					asked := time.Now()
					ask()
					longest = max(longest, time.Since(asked))
				}
				stop.Store(true)
				strangers.Wait()
				peak := memory(t, r, "VmHWM")
				t.Logf("%d MB at the peak, %d MB when idle; others were answered within %v; sent %d times", peak>>20, idle>>20, longest, frames.Load())
				for code := range codes {
					if n := codes[code].Load(); n > 0 {
						t.Logf("%d connections ended with %v", n, http2.ErrCode(code))
					}
				}
				// What is no HTTP/2 is refused at once, and so floods nobody. gRPC takes no trailers.
				if n := codes[http2.ErrCodeProtocol].Load(); n > 0 && (flood.name != trailers || door != "ext_proc") {
					t.Errorf("%d connections were not taken for HTTP/2", n)
				}
				if frames.Load() < conns {
					t.Errorf("it was sent %d times by %d connections", frames.Load(), conns)
				}
				// Beside the budget, what is garbage until it is collected: as much again as is in use.
				if peak > idle+2*budget {
					t.Errorf("%d MB of memory at the peak and %d when idle, with a budget of %d", peak>>20, idle>>20, budget>>20)
				}
			})
		}
	}
}

// asksByHTTP returns what asks the replica for its models by HTTP/2, and wants an answer within 10 s.
func asksByHTTP(t *testing.T, r *processes.Replica, ca *certtest.CA) func() {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return func() {
		t.Helper()
		res, err := client.Get(strings.Replace(r.URL, "http://", "https://", 1) + "/v1/models")
		if err != nil {
			t.Error(err)
			return
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Error(res.Status)
		}
	}
}

// asksByExtProc returns what asks the replica for its health by gRPC, in the same way.
func asksByExtProc(t *testing.T, r *processes.Replica) func() {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := grpc_health_v1.NewHealthClient(conn)
	return func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
	}
}
