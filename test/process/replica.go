package process

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Replica is a weir serve process.
type Replica struct {
	ID string
	// URL and Admin are where it takes requests and operators, Gossip and Peer where
	// it takes other replicas.
	URL, Admin, Gossip string
	// Args are what it was started with, its id included, so that it can be started
	// again.
	Args []string
	// Took is how long it was from its start until it was ready.
	Took time.Duration

	tb      testing.TB
	process *exec.Cmd
	ended   chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// Start starts a replica on loopback addresses that the system chooses, and waits
// until it is ready. It is killed when the test ends.
func Start(tb testing.TB, id string, args ...string) *Replica {
	tb.Helper()
	return StartAs(tb, id, append([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
}

// StartAs starts a replica with these arguments and no others but its id and its log's
// format.
func StartAs(tb testing.TB, id string, args ...string) *Replica {
	tb.Helper()
	r := Launch(tb, id, args...)
	if !r.Ready(20 * time.Second) {
		tb.Fatalf("%s is not ready after 20 s:\n%s", id, r.Log())
	}
	return r
}

// Launch is StartAs without the wait: the replica may never be ready.
func Launch(tb testing.TB, id string, args ...string) *Replica {
	tb.Helper()
	r := &Replica{ID: id, Args: args, tb: tb, ended: make(chan struct{})}
	r.process = Command(append([]string{"serve", "--replica-id", id, "--log-format", "json"}, args...)...)
	stderr, err := r.process.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	if err := r.process.Start(); err != nil {
		tb.Fatal(err)
	}
	serving := make(chan struct{})
	go func() { // ends with the process
		defer close(r.ended)
		r.read(stderr, func() { r.Took = time.Since(began); close(serving) })
		_ = r.process.Wait()
	}()
	tb.Cleanup(func() {
		r.Kill()
		if tb.Failed() {
			tb.Logf("the log of %s:\n%s", id, r.Log())
		}
	})
	select {
	case <-serving:
	case <-r.ended:
	case <-time.After(20 * time.Second):
	}
	return r
}

// addresses is the line that says where a replica listens.
var addresses = regexp.MustCompile(`"listen":"([^"]+)","admin":"([^"]+)","gossip":"([^"]*)"`)

// read keeps what the process logs, and says when it serves.
func (r *Replica) read(stderr io.Reader, serving func()) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.mu.Lock()
		r.log.WriteString(lines.Text() + "\n")
		r.mu.Unlock()
		if m := addresses.FindStringSubmatch(lines.Text()); m != nil && r.URL == "" {
			r.URL, r.Admin, r.Gossip = "http://"+m[1], "http://"+m[2], m[3]
			serving()
		}
	}
}

// Ready waits until the replica says that it is ready.
func (r *Replica) Ready(most time.Duration) bool {
	for began := time.Now(); time.Since(began) < most; time.Sleep(2 * time.Millisecond) {
		if r.URL == "" {
			return false // it does not serve
		}
		res, err := http.Get(r.Admin + "/readyz")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

// Log is what the replica has logged so far.
func (r *Replica) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// Says waits until the log has the text.
func (r *Replica) Says(text string, most time.Duration) bool {
	for began := time.Now(); time.Since(began) < most; time.Sleep(5 * time.Millisecond) {
		if strings.Contains(r.Log(), text) {
			return true
		}
	}
	return false
}

// Kill ends the process without a word, and waits until it is gone.
func (r *Replica) Kill() {
	r.Signal(syscall.SIGKILL)
	<-r.ended
}

// Stop ends the process in good order and waits until it is gone.
func (r *Replica) Stop() {
	r.Signal(syscall.SIGTERM)
	<-r.ended
}

// Signal sends the process a signal, such as SIGSTOP.
func (r *Replica) Signal(s syscall.Signal) { _ = r.process.Process.Signal(s) }

// Ended is closed when the process is gone.
func (r *Replica) Ended() <-chan struct{} { return r.ended }

// Get reads an answer of a replica's admin address.
func Get[T any](r *Replica, path string) (answer T, err error) {
	client := http.Client{Timeout: time.Second}
	res, err := client.Get(r.Admin + path)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// Wait waits until a condition holds, and returns how long that took; the test fails
// if it does not in time.
func Wait(tb testing.TB, what string, most time.Duration, condition func() bool) time.Duration {
	tb.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > most {
			tb.Fatalf("%s: not within %v", what, most)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}
