package adversary

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// uploads are what strangers send, each all but the last byte of a large body as a flow of its own, as fast as
// it goes, and then another one.
type uploads struct {
	begun, sent atomic.Int64 // bodies, and bytes
}

// stranger sends bodies to a replica until the context ends.
func (u *uploads) stranger(ctx context.Context, r *processes.Replica) {
	piece := make([]byte, 64<<10)
	for ctx.Err() == nil {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(r.URL, "http://"))
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		const body = 4 << 20
		_, err = fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nx-llm-d-inference-fairness-id: stranger-%d\r\nContent-Length: %d\r\n\r\n", u.begun.Add(1), body+1)
		for sent := 0; err == nil && sent < body; {
			var n int
			n, err = c.Write(piece)
			sent += n
			u.sent.Add(int64(n))
		}
		stop()
		_ = c.Close()
	}
}

// TestUploadsLeaveOthersTheirTurn has strangers upload large bodies as fast as the replica reads them, many
// times what it has memory for: a small request of another flow is behind no more than a few pieces of each
// of theirs, and is served.
func TestUploadsLeaveOthersTheirTurn(t *testing.T) {
	slow(t)
	const conns, seconds = 200, 6
	// A request has some eight steps before which it may lose its CPU, and is then behind a piece of 32 kB of
	// each stranger. The growth of their bodies moves as much again.
	const most = conns * 8 * 2 * 32 << 10 // bytes
	var log bytes.Buffer
	cmd := exec.Command(processes.Binary())
	cmd.Stdout = &log
	r := processes.StartBy(t, cmd, "127.0.0.1", "r1", processes.StartServers(t, 1, 8), "--memory-budget", fmt.Sprint(32<<20), "--access-log", "all")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var u uploads
	var all sync.WaitGroup
	for range conns {
		all.Go(func() { u.stranger(ctx, r) })
	}
	honest, _ := processes.StartLoad(t)
	for i := range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := askModels(ctx, honest.Client, r, fmt.Sprint("honest-", i)); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Second) // until the memory is used up
	var at []time.Time
	var sent []int64
	for range seconds + 1 {
		at, sent = append(at, time.Now()), append(sent, u.sent.Load())
		time.Sleep(time.Second)
	}
	stop()
	all.Wait()
	r.Kill()
	// Within the replica, or what the clients wait for a CPU would count. What strangers send meanwhile is
	// measured, and no time: both depend alike on how much of a CPU others leave. The best second counts.
	least := int64(1 << 60)
	for i := range seconds {
		took := tookAt(&log, "honest", at[i], at[i+1])
		if len(took) < 4 {
			continue
		}
		median := took[len(took)/2]
		passed := int64(float64(sent[i+1]-sent[i]) * median.Seconds() / at[i+1].Sub(at[i]).Seconds())
		t.Logf("%d requests, the median within %v, in which strangers sent %d kB each", len(took), median, passed/conns>>10)
		least = min(least, passed)
	}
	if least > most {
		t.Errorf("strangers sent %d kB each while a request without a body was answered, want at most %d", least/conns>>10, most/conns>>10)
	}
}

// askModels asks a replica for its models, as a flow.
func askModels(ctx context.Context, c *http.Client, r *processes.Replica, flow string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/v1/models", nil)
	if err != nil {
		return err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", flow)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return processes.StatusError(res.StatusCode)
	}
	return nil
}

// tookAt is how long a replica took by its log for requests of some tenants that came in a time, the shortest
// first.
func tookAt(log *bytes.Buffer, tenants string, from, to time.Time) (took []time.Duration) {
	for line := range strings.Lines(log.String()) {
		var e struct {
			Time   time.Time `json:"time"`
			Tenant string    `json:"tenant"`
			Took   float64   `json:"duration_ms"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && strings.HasPrefix(e.Tenant, tenants) && e.Time.After(from) && e.Time.Before(to) {
			took = append(took, time.Duration(e.Took*float64(time.Millisecond)))
		}
	}
	slices.Sort(took)
	return took
}
