package processes

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/test/extproc"
)

// BinaryVariable names the weir command that a test has built, for a copy of the test that
// it runs elsewhere: in a network of its own, say.
const BinaryVariable = "WEIR_BINARY"

// builtVariable names the weir command where whoever runs the tests of several packages has built
// it for all of them.
const builtVariable = "WEIR_BUILT"

// binary is the weir command that Run built.
var binary string

// Binary returns the path of the weir command under test.
func Binary() string { return binary }

// Main runs the tests of a package that starts replicas, while no other such package's
// run. Call it from TestMain.
func Main(m *testing.M) {
	if os.Getenv(BinaryVariable) != "" {
		os.Exit(Run(m)) // the test that runs this copy keeps the others away
	}
	os.Exit(Alone(func() int { return Run(m) }))
}

// Run runs the tests of a package that starts replicas and measures nothing of them, beside other
// packages': it builds the weir command once for all of them.
func Run(m *testing.M) (code int) {
	if binary = cmp.Or(os.Getenv(BinaryVariable), os.Getenv(builtVariable)); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "weir-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary folder
	binary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/weirflow/weir/cmd/weir").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Alone runs tests that start processes while no other package's run on this machine:
// they measure time, and go test runs packages side by side.
func Alone(run func() int) int {
	held, err := lock()
	if err != nil {
		fmt.Fprintf(os.Stderr, "wait for other packages' processes to end: %v\n", err)
		return 1
	}
	code := run()
	if held != nil {
		_ = held.Close() // which also kept it from being collected, and so closed, before
	}
	return code
}

// Replica is a weir serve process.
type Replica struct {
	ID, URL, Admin, Gossip, ExtProc string
	Process                         *exec.Cmd
	// How requests go by ext_proc; nil for HTTP.
	Do func(context.Context, extproc.Request) (*extproc.Response, error)

	log transcript
}

// Says waits until the replica has logged the text.
func (r *Replica) Says(text string, most time.Duration) bool {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if strings.Contains(r.log.String(), text) {
			return true
		}
		if time.Since(began) >= most {
			return false
		}
	}
}

// Said is how often it has logged the text.
func (r *Replica) Said(text string) int { return strings.Count(r.log.String(), text) }

// serving is the line by which a replica says where it listens.
type serving struct {
	Message string `json:"msg"`
	Listen  string `json:"listen"`
	Admin   string `json:"admin"`
	Gossip  string `json:"gossip"`
	ExtProc string `json:"ext_proc"`
}

// serves waits until the replica says where it listens.
func (r *Replica) serves(most time.Duration) (at serving, ok bool) {
	for began := time.Now(); time.Since(began) < most; time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(r.log.String()) {
			if json.Unmarshal([]byte(line), &at) == nil && at.Message == "serving" {
				return at, true
			}
		}
	}
	return at, false
}

// Start starts a replica in front of the servers, on loopback.
func Start(t *testing.T, id string, s *Servers, args ...string) *Replica {
	t.Helper()
	return StartBy(t, exec.Command(binary), "127.0.0.1", id, s, append([]string{"--fairness", "round-robin-fairness-policy"}, args...)...)
}

// StartBy starts a replica by a command that the arguments are added to.
func StartBy(t *testing.T, cmd *exec.Cmd, host, id string, s *Servers, args ...string) *Replica {
	t.Helper()
	cmd.Args = append(append(cmd.Args,
		"serve", "--listen", net.JoinHostPort(host, "0"), "--admin", net.JoinHostPort(host, "0"), "--log-format", "json",
		"--replica-id", id,
	), args...)
	for _, url := range s.URLs {
		cmd.Args = append(cmd.Args, "--upstream", url)
	}
	r := &Replica{ID: id, Process: cmd}
	cmd.Stderr = &r.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			r.log.tell(t, id, cmd.Process.Pid)
		}
	})
	at, ok := r.serves(starting)
	if !ok {
		t.Fatalf("%s does not say within %v where it listens", id, starting)
	}
	r.URL, r.Admin, r.Gossip, r.ExtProc = "http://"+at.Listen, "http://"+at.Admin, at.Gossip, at.ExtProc
	return r
}

// starting is how long a process may take until it serves: under a second, where other
// processes leave it a CPU.
const starting = time.Minute

// Kill ends the process without a word and waits until it is gone.
func (r *Replica) Kill() {
	_ = r.Process.Process.Signal(syscall.SIGKILL)
	_ = r.Process.Wait()
}

// Metric adds a metric that counts up over replicas and labels.
func Metric(t *testing.T, name string, of ...*Replica) int {
	t.Helper()
	return int(math.Round(Figure(t, name, of...)))
}

// Figure adds a metric up over replicas and labels.
func Figure(t *testing.T, name string, of ...*Replica) (sum float64) {
	t.Helper()
	for _, r := range of {
		res, err := http.Get(r.Admin + "/metrics")
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
				sum += value
			}
		}
		_ = res.Body.Close()
	}
	return sum
}
