package adversary

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/processes"
)

// byHTTP2 is a stranger's connection of HTTP/2.
type byHTTP2 struct {
	io.Writer
	*http2.Framer
	number int
}

// strangersByHTTP2 opens n connections, on each of which an answer has so much of a window, and has
// each written to, until that fails or is done. They are closed with the test.
func strangersByHTTP2(t *testing.T, r *processes.Replica, ca *certtest.CA, n, window int, reads bool, write func(c byHTTP2) error) {
	t.Helper()
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < n; i += 8 {
				conn, err := tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = conn.Close() })
				_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
				if reads {
					go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
				}
				c := byHTTP2{conn, http2.NewFramer(conn, nil), i}
				_, _ = io.WriteString(conn, http2.ClientPreface)
				_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(window)})
				_ = c.WriteSettingsAck()
				_ = write(c) // it may be cut off
			}
		})
	}
	writers.Wait()
}

// open sends the connection's nth request as far as its head, of 15 kB and a flow of its own.
func (c byHTTP2) open(n int) error {
	var head bytes.Buffer
	text := hpack.NewEncoder(&head)
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":authority", "weir"},
		{":path", "/v1/completions"},
		{"content-length", "9000"},
		{"x-llm-d-inference-fairness-id", fmt.Sprintf("stranger-%d-%d", c.number, n)},
		{"x-much", strings.Repeat("~", 15<<10)},
	} {
		_ = text.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // a buffer takes all
	}
	first := head.Next(16 << 10)
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: first, EndHeaders: head.Len() == 0})
	if err != nil || head.Len() == 0 {
		return err
	}
	return c.WriteContinuation(uint32(2*n+1), true, head.Bytes())
}

// openMany opens 200 streams.
func openMany(c byHTTP2) error {
	for n := range 200 {
		if err := c.open(n); err != nil {
			return err
		}
	}
	return nil
}

// TestStreamsInMemory has strangers open very many streams of HTTP/2: the replica keeps near its
// budget of memory, whatever they leave unsaid or do not take, and others are served.
func TestStreamsInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	const conns, budget = 100, 32 << 20
	servers := processes.StartServers(t, 1, 8)
	for _, c := range []struct {
		name   string
		window int
		reads  bool
		write  func(byHTTP2) error
		fast   bool
	}{
		{"clients that take no answer", 0, true, openMany, true},
		{"clients that read nothing", 64 << 10, false, openMany, false},
		{"clients that read", 64 << 10, true, openMany, false},
		{"requests that are given up at once", 64 << 10, true, func(c byHTTP2) error {
			for n := range 100 {
				if err := c.open(n); err != nil {
					return err
				}
				if err := c.WriteRSTStream(uint32(2*n+1), http2.ErrCodeCancel); err != nil {
					return err
				}
			}
			return nil
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.fast {
				slow(t)
			}
			ca := certtest.New(t)
			cert, key := ca.Issue("r1")
			r := processes.Start(t, "r1", servers, "--max-concurrency", "8", "--memory-budget", fmt.Sprint(budget), "--tls-cert", cert, "--tls-key", key)
			r.URL = strings.Replace(r.URL, "http://", "https://", 1)
			client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
			ask := func() {
				t.Helper()
				res, err := client.Post(r.URL+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"hi"}`))
				if err != nil {
					t.Error(err)
					return
				}
				if _ = res.Body.Close(); res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
					t.Errorf("status %d by %s", res.StatusCode, res.Proto)
				}
			}
			ask()
			idle := memory(t, r, "VmRSS")
			strangersByHTTP2(t, r, ca, conns, c.window, c.reads, c.write)
			began := time.Now()
			ask()
			served := time.Since(began)
			peak := memory(t, r, "VmHWM")
			t.Logf("%d MB at the peak, %d MB when idle, with a budget of %d MB; another was served within %v", peak>>20, idle>>20, budget>>20, served)
			// Beside the budget: an eighth of it for heads that come in; for each connection about
			// 0.1 MB of buffers for TLS and frames, and what is garbage until it is collected.
			if peak > idle+3*budget {
				t.Errorf("%d MB of memory at the peak, with a budget of %d", peak>>20, budget>>20)
			}
		})
	}
}
