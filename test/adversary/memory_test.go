package adversary

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/processes"
)

// configFile writes a configuration file.
func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n" + text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// silentServer is a model server that says which models it has, takes requests and answers
// none of them.
func silentServer(t *testing.T) *processes.Servers {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			_, _ = io.WriteString(w, `{"data":[]}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return &processes.Servers{URLs: []string{s.URL}}
}

// memory is what a process has of the machine's memory, in bytes.
func memory(t *testing.T, r *processes.Replica, what string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Process.Process.Pid))
	if err != nil {
		t.Skipf("skipped: the memory of a process cannot be read here: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// send opens n connections and writes the text to each. They are closed with the test.
func send(t *testing.T, r *processes.Replica, n int, text func(i int) string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < n; i += 8 {
				c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
				_, _ = c.Write([]byte(text(i))) // a refusal may come before all of it went
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	writers.Wait()
	return conns
}

// waiting is a request of 4 kB that waits before a silent server.
var waiting = func() string {
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 4040) + `"}]}`
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nUser-Agent: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// sendByEnvoy opens n streams as Envoys do that hundreds of clients each come by, and says on
// each that the request waits. They end with the test.
func sendByEnvoy(t *testing.T, r *processes.Replica, n int) {
	t.Helper()
	const each = 500 // streams of a connection
	head, body, _ := strings.Cut(waiting, "\r\n\r\n")
	var headers []*corev3.HeaderValue
	set := func(name, value string) {
		headers = append(headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	line, fields, _ := strings.Cut(head, "\r\n")
	set(":method", strings.Fields(line)[0])
	set(":path", strings.Fields(line)[1])
	for field := range strings.SplitSeq(fields, "\r\n") {
		name, value, _ := strings.Cut(field, ": ")
		set(strings.ToLower(name), value)
	}
	messages := []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &corev3.HeaderMap{Headers: headers}}}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(body), EndOfStream: true}}},
	}
	for range (n + each - 1) / each {
		conn, err := grpc.NewClient("passthrough:///"+r.ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		client := extproc.NewExternalProcessorClient(conn)
		for range min(n, each) {
			stream, err := client.Process(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				if err := stream.Send(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		n -= min(n, each)
	}
}

// startNarrow starts a replica that lets one request go at a time, and many wait.
func startNarrow(t *testing.T, args ...string) *processes.Replica {
	t.Helper()
	file := configFile(t, "flowControl: {defaultPriorityBand: {maxRequests: 30000}}\n")
	return processes.Start(t, "r1", silentServer(t), append(args, "--config", file, "--max-concurrency", "1", "--ext-proc", "127.0.0.1:0")...)
}

// allWait waits until so many requests do, and another has gone.
func allWait(t *testing.T, r *processes.Replica, n int64) {
	t.Helper()
	eventually(t, "all but one wait", 30*time.Second, func() bool {
		pool, err := processes.Get[api.Pool](r, "/v1/pool")
		return err == nil && pool.Queued == n
	})
}

// TestWaitingIsCheap wants thousands of waiting requests of 4 kB to cost a replica little more memory than
// net/http and gRPC alone take for them, measured beside.
func TestWaitingIsCheap(t *testing.T) {
	slow(t)
	const n = 19_000 // as many as 20,000 file descriptors allow
	ca := certtest.New(t)
	cert, key := ca.Issue("r1")
	byHTTP := func(t *testing.T, r *processes.Replica) { send(t, r, n, func(int) string { return waiting }) }
	byHTTP2 := func(t *testing.T, r *processes.Replica) { sendByHTTP2(t, r, ca, n) }
	byEnvoy := func(t *testing.T, r *processes.Replica) { sendByEnvoy(t, r, n) }
	for _, c := range []struct {
		door string
		send func(t *testing.T, r *processes.Replica)
		args []string
		more int64 // than the floor, in bytes
	}{
		{"http", byHTTP, nil, 7 << 10},
		{"http2", byHTTP2, []string{"--tls-cert", cert, "--tls-key", key}, 9 << 10},
		{"ext_proc", byEnvoy, nil, 3 << 10},
	} {
		t.Run(c.door, func(t *testing.T) {
			var floor, each int64
			measure := func(t *testing.T, r *processes.Replica, wait func()) int64 {
				idle := memory(t, r, "VmRSS")
				c.send(t, r)
				wait()
				peak := memory(t, r, "VmHWM")
				t.Logf("%d MB, %d MB when idle: %d bytes a request", peak>>20, idle>>20, (peak-idle)/n)
				return (peak - idle) / n
			}
			t.Run("floor", func(t *testing.T) {
				r, wait := startFloor(t, c.door, n)
				floor = measure(t, r, wait)
			})
			t.Run("replica", func(t *testing.T) {
				r := startNarrow(t, c.args...)
				if len(c.args) > 0 {
					r.URL = strings.Replace(r.URL, "http://", "https://", 1)
				}
				each = measure(t, r, func() { allWait(t, r, n-1) })
			})
			if each > floor+c.more {
				t.Errorf("%d bytes for each of %d waiting requests of 4 kB, of which net/http or gRPC alone takes %d, want at most %d more", each, n, floor, c.more)
			}
		})
	}
}

// TestWaitingStacksAreSmall wants a waiting request to have no more stack than net/http takes
// for its connection, 4 kB, and 2 or 4 kB by which the client's end is noticed, or gRPC for its
// stream, 4 kB: whatever was done for it before it waits, and for another one on the connection.
func TestWaitingStacksAreSmall(t *testing.T) {
	const n = 4000
	for _, c := range []struct {
		door string
		send func(t *testing.T, r *processes.Replica)
		most int
	}{
		{"http", func(t *testing.T, r *processes.Replica) {
			conns := send(t, r, n, func(int) string { return "GET /v1/models HTTP/1.1\r\nHost: weir\r\n\r\n" })
			for _, c := range conns {
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					t.Fatal(res.Status, err)
				}
			}
			for _, c := range conns {
				if _, err := io.WriteString(c, waiting); err != nil {
					t.Fatal(err)
				}
			}
		}, 9 << 10},
		{"ext_proc", func(t *testing.T, r *processes.Replica) { sendByEnvoy(t, r, n) }, 6 << 10},
	} {
		t.Run(c.door, func(t *testing.T) {
			r := startNarrow(t)
			stacks := func() int { return processes.Metric(t, "go_memstats_stack_inuse_bytes", r) }
			idle := stacks()
			c.send(t, r)
			allWait(t, r, n-1)
			each := (stacks() - idle) / n
			t.Logf("%d bytes of stack a request", each)
			if each > c.most {
				t.Errorf("each of %d waiting requests has %d bytes of stack, want at most %d", n, each, c.most)
			}
		})
	}
}

// TestBodiesInMemory has strangers announce large bodies and send little of them, or much:
// the replica keeps to its budget of memory, and tenants do not notice.
func TestBodiesInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	const attackers, budget = 2000, 512 << 20
	servers := processes.StartServers(t, 1, 8)
	for _, c := range []struct {
		name string
		sent int // bytes of 32 MiB
		flow func(i int) string
	}{
		{"one byte each", 1, func(int) string { return "" }},
		{"a MiB each, one flow", 1 << 20, func(int) string { return "" }},
		{"a MiB each, each a flow of its own", 1 << 20, func(i int) string { return fmt.Sprint("x-llm-d-inference-fairness-id: stranger-", i, "\r\n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sent > 1 {
				slow(t)
			}
			r := processes.Start(t, "r1", servers, "--max-concurrency", "8", "--memory-budget", fmt.Sprint(budget))
			honest, ctx := processes.StartLoad(t)
			tenants := []string{"honest-0", "honest-1", "honest-2", "honest-3"}
			for _, id := range tenants {
				honest.Tenant(ctx, id, 1, r)
			}
			honest.Next(20, tenants...) // what is new is slow
			before, _ := honest.Window(time.Second, tenants...)
			part := strings.Repeat("x", c.sent)
			send(t, r, attackers, func(i int) string {
				return fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: weir\r\n%sContent-Length: %d\r\n\r\n%s", c.flow(i), 32<<20, part)
			})
			// From here on: what is sent takes the machine, and not the replica alone. The best of some
			// seconds counts: others may take the machine, too, and the attack goes on all the while.
			during := 0
			for range 5 {
				n, _ := honest.Window(time.Second, tenants...)
				if during = max(during, n); during >= before/2 {
					break
				}
			}
			peak := memory(t, r, "VmHWM")
			t.Logf("peak %d MB of a budget of %d; honest requests: %d a second before, %d during", peak>>20, budget>>20, before, during)
			if peak > budget+budget/4 {
				t.Errorf("%d MB of memory at the peak with a budget of %d", peak>>20, budget>>20)
			}
			if failed := honest.Failed(nil); len(failed) > 0 {
				t.Errorf("%d honest requests failed, one with %v", len(failed), failed[0].Err)
			}
			if during < before/2 {
				t.Errorf("%d honest requests a second, %d without the attack", during, before)
			}
		})
	}
}
