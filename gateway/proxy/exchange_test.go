package proxy_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestClientsHangUp has 500 clients, a third of which hang up at random moments:
// afterwards nothing is in flight or queued and every request has one outcome.
func TestClientsHangUp(t *testing.T) {
	const clients = 500
	r := rig.New(t, 8, rig.ModelServer(t), rig.ModelServer(t))
	rng := rand.New(rand.NewPCG(1, 1))
	var wg sync.WaitGroup
	var sent atomic.Int64
	for i := range clients {
		patience := time.Duration(0)
		if i%3 == 0 {
			patience = time.Duration(rng.IntN(200)) * time.Millisecond
		}
		stream := i%2 == 0
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%3 == 0 {
				timer := time.AfterFunc(patience, cancel)
				defer timer.Stop()
			}
			body := fmt.Sprintf(`{"model":"m","max_tokens":20,"stream":%v,"messages":[]}`, stream)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("x-llm-d-inference-fairness-id", fmt.Sprint("tenant-", i%7))
			sent.Add(1)
			res, err := r.Client.Do(req)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if ctx.Err() == nil && (err != nil || res.StatusCode != http.StatusOK) {
				t.Errorf("a patient client got %d, %v", res.StatusCode, err)
			}
		})
	}
	wg.Wait()
	rig.Eventually(t, func() string {
		pool := r.View(t).Totals
		if pool.InFlight == 0 && pool.Queued == 0 {
			return ""
		}
		return fmt.Sprintf("in flight %d, queued %d when all clients are gone", pool.InFlight, pool.Queued)
	})
	decided, answered := r.Figure(t, "weir_flow_control_requests_total"), r.Figure(t, "weir_http_requests_total")
	if decided > float64(sent.Load()) || answered < decided {
		t.Errorf("%v outcomes and %v answers for %d requests", decided, answered, sent.Load())
	}
	if r.Figure(t, "weir_flow_control_request_queue_duration_seconds") == 0 {
		t.Error("no waits were measured")
	}
}

// TestClientHalfCloses wants a client that closes its sending side while its request waits
// to read no answer: it counts as gone, and holds nothing any more.
func TestClientHalfCloses(t *testing.T) {
	r := rig.With(t, 1, []controller.Option{controller.WithTTL(time.Minute, time.Minute)}, nil) // without a server everything waits
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: %d\r\n\r\n%s", len(rig.Chat), rig.Chat)
	for r.View(t).Totals.Queued == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
		t.Errorf("the client reads %q, %v; want the connection's end", answer, err)
	}
	if n := r.Figure(t, "weir_http_requests_total", "code", "499"); n != 1 {
		t.Errorf("%v answers count as 499, want 1", n)
	}
	rig.Eventually(t, func() string {
		if r.View(t).Totals.Queued > 0 {
			return "its request still waits"
		}
		return ""
	})
}

// TestIdentityComesFirst wants a request without a known key to be refused before its body.
func TestIdentityComesFirst(t *testing.T) {
	r := rig.With(t, 1, nil, func(c *rig.Config) {
		c.Keys = flows.Keys{sha256.Sum256([]byte("secret")): "a"}
	}, rig.ModelServer(t))
	c := r.Begin(t, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: 60000\r\n\r\n{")
	if code, body := rig.AnswerOn(t, c); code != http.StatusUnauthorized {
		t.Errorf("%d %s, want 401 before the body came", code, body)
	}
}

// TestWholeBodies wants bodies of all lengths around the bounds to go on as they came,
// with a length and without.
func TestWholeBodies(t *testing.T) {
	got := make(chan string, 1)
	upstream := rig.Echo(t, got)
	r := rig.With(t, 1, nil, func(c *rig.Config) { c.MaxBody = 10_000 }, upstream)
	for _, n := range []int{0, 1, 511, 4095, 4096, 4097, 8192, 9999, 10_000, 10_001} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", n))
			if chunked {
				body = io.MultiReader(body) // whose length is not known
			}
			res, err := r.Client.Post(r.URL+"/v1/rerank", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if n > 10_000 {
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%d bytes, chunked %v: %d, want 413", n, chunked, res.StatusCode)
				}
				continue
			}
			if res.StatusCode != http.StatusOK {
				t.Fatalf("%d bytes, chunked %v: %d", n, chunked, res.StatusCode)
			}
			if s := <-got; len(s) != n {
				t.Errorf("%d bytes, chunked %v: %d came", n, chunked, len(s))
			}
		}
	}
}
