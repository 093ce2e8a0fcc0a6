package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/modelserver"
	"github.com/weirflow/weir/test/extproc"
)

// binary is the weir command, built once; this variable names one that is.
var binary string

const binaryVariable = "WEIR_BINARY"

func TestMain(m *testing.M) {
	if binary = os.Getenv(binaryVariable); binary != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "weir-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/weirflow/weir/cmd/weir").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// servers are the model servers, with one count of what is in flight at all of
// them.
type servers struct {
	urls           []string
	inFlight, peak atomic.Int64
}

// raise lifts a peak to a number that is higher.
func raise(peak *atomic.Int64, to int64) {
	for p := peak.Load(); to > p && !peak.CompareAndSwap(p, to); p = peak.Load() {
	}
}

func startServers(t *testing.T, n, running int) *servers {
	t.Helper()
	return startServersAt(t, "127.0.0.1", n, running)
}

func startServersAt(t *testing.T, host string, n, running int) *servers {
	t.Helper()
	s := &servers{}
	cfg := modelserver.DefaultConfig()
	cfg.MaxRunning, cfg.Step, cfg.StepPerSequence, cfg.PrefillPerToken = running, 5*time.Millisecond, 0, 0
	cfg.InFlight = func(delta int) { raise(&s.peak, s.inFlight.Add(int64(delta))) }
	for range n {
		m, err := modelserver.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(m)
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		s.urls = append(s.urls, server.URL)
	}
	return s
}

// replica is a weir serve process.
type replica struct {
	id, url, admin, gossip, extProc string
	process                         *exec.Cmd
	// How requests go by ext_proc; nil for HTTP.
	do func(context.Context, extproc.Request) (*extproc.Response, error)
}

func startReplica(t *testing.T, id string, s *servers, args ...string) *replica {
	t.Helper()
	return startReplicaBy(t, exec.Command(binary), "127.0.0.1", id, s, append([]string{"--fairness", "round-robin-fairness-policy"}, args...)...)
}

// startReplicaBy starts a replica by a command that the arguments are added to.
func startReplicaBy(t *testing.T, cmd *exec.Cmd, host, id string, s *servers, args ...string) *replica {
	t.Helper()
	cmd.Args = append(append(cmd.Args,
		"serve", "--listen", net.JoinHostPort(host, "0"), "--admin", net.JoinHostPort(host, "0"), "--log-format", "json",
		"--replica-id", id,
	), args...)
	for _, url := range s.urls {
		cmd.Args = append(cmd.Args, "--upstream", url)
	}
	r := &replica{id: id, process: cmd}
	stderr, err := r.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	addresses := regexp.MustCompile(`"listen":"([^"]+)","admin":"([^"]+)","gossip":"([^"]*)","ext_proc":"([^"]*)"`)
	found := make(chan []string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			t.Logf("%s: %s", id, lines.Text())
			if m := addresses.FindStringSubmatch(lines.Text()); m != nil {
				found <- m
			}
		}
	}()
	select {
	case m := <-found:
		r.url, r.admin, r.gossip, r.extProc = "http://"+m[1], "http://"+m[2], m[3], m[4]
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not say where it listens", id)
	}
	return r
}

func (r *replica) kill() {
	_ = r.process.Process.Signal(syscall.SIGKILL)
	_ = r.process.Wait()
}

// load keeps clients of tenants busy and counts what each tenant gets.
type load struct {
	t       *testing.T
	stop    context.CancelFunc
	clients sync.WaitGroup
	client  *http.Client

	mu       sync.Mutex
	served   map[string]int // by tenant
	at       map[*replica]int
	failures []failure
}

type failure struct {
	replica *replica
	at      time.Time
	err     error
}

func startLoad(t *testing.T) (*load, context.Context) {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: t, stop: stop, served: map[string]int{}, at: map[*replica]int{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	t.Cleanup(func() {
		stop()
		l.clients.Wait()
		l.client.CloseIdleConnections()
	})
	return l, ctx
}

// tenant starts a tenant's clients at a replica.
func (l *load) tenant(ctx context.Context, id string, clients int, r *replica) {
	for range clients {
		l.clients.Go(func() {
			for ctx.Err() == nil {
				err := l.ask(ctx, id, r)
				if ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				if err == nil {
					l.served[id]++
					l.at[r]++
				} else {
					l.failures = append(l.failures, failure{r, time.Now(), err})
				}
				l.mu.Unlock()
				if err != nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
}

func (l *load) ask(ctx context.Context, id string, r *replica) error {
	if r.do != nil {
		return askByDriver(ctx, id, r)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions",
		strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":16}`))
	if err != nil {
		return err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", id)
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// window measures what the tenants got in a time: the requests in all, and
// Jain's index over the tenants.
func (l *load) window(d time.Duration, tenants ...string) (requests int, jain float64) {
	before := l.count(tenants)
	time.Sleep(d)
	after := l.count(tenants)
	var sum, squares float64
	for i := range after {
		got := float64(after[i] - before[i])
		sum += got
		squares += got * got
	}
	return int(sum), sum * sum / (float64(len(tenants)) * squares)
}

func (l *load) count(tenants []string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]int, len(tenants))
	for i, id := range tenants {
		counts[i] = l.served[id]
	}
	return counts
}

// servedBy is how many requests a replica has answered.
func (l *load) servedBy(r *replica) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[r]
}

// failed returns the failures that did not end at the excepted replica.
func (l *load) failed(except *replica) []failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failures []failure
	for _, f := range l.failures {
		if f.replica != except {
			failures = append(failures, f)
		}
	}
	return failures
}

// metric adds a metric up over replicas and labels.
func metric(t *testing.T, name string, of ...*replica) (sum int) {
	t.Helper()
	for _, r := range of {
		res, err := http.Get(r.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			rest, ok := strings.CutPrefix(lines.Text(), name)
			var value float64
			if i := strings.LastIndexByte(rest, ' '); ok && i >= 0 && (rest[0] == ' ' || rest[0] == '{') {
				if _, err := fmt.Sscan(rest[i:], &value); err != nil {
					t.Fatal(err)
				}
				sum += int(value)
			}
		}
		_ = res.Body.Close()
	}
	return sum
}
