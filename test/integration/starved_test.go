package integration

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestStarved measures false alarms: three replicas under load beside processes
// that want every CPU several times over. A replica that is taken for dead costs
// moves of shards, and must cost nothing else. "make alarms" runs it.
func TestStarved(t *testing.T) {
	if os.Getenv("WEIR_ALARMS") == "" {
		t.Skip("skipped: a measurement of a minute and a half; make alarms runs it")
	}
	c := startCluster(t, 3)
	l, tenants := c.uneven()
	for _, burners := range []int{0, 2, 4} {
		var burning []*exec.Cmd
		for range burners * runtime.NumCPU() {
			burner := exec.Command("sh", "-c", "while :; do :; done")
			if err := burner.Start(); err != nil {
				t.Fatal(err)
			}
			burning = append(burning, burner)
		}
		const window = 25 * time.Second
		suspicions, deaths, moves := c.counter("memberlist_msg_suspect"), c.counter("memberlist_msg_dead"), c.counter("weir_fleet_shard_moves_total")
		requests, jain := l.window(window, tenants...)
		t.Logf("%d busy processes a CPU, %v: %d suspicions, %d deaths heard of, %d moves; %.0f requests/s, Jain index %.4f, at most %d of %d in flight",
			burners, window, c.counter("memberlist_msg_suspect")-suspicions, c.counter("memberlist_msg_dead")-deaths,
			c.counter("weir_fleet_shard_moves_total")-moves, float64(requests)/window.Seconds(), jain, c.servers.peak.Load(), limit)
		c.withinLimit(fmt.Sprint(burners, " busy processes a CPU"))
		for _, b := range burning {
			_ = b.Process.Kill()
			_ = b.Wait()
		}
	}
	c.noneFailed("starved", l, nil)
}

// counter adds a counter up over the replicas.
func (c *cluster) counter(name string) (sum int) {
	c.t.Helper()
	for _, r := range c.replicas {
		res, err := http.Get(r.admin + "/metrics")
		if err != nil {
			c.t.Fatal(err)
		}
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			rest, ok := strings.CutPrefix(lines.Text(), name)
			var value float64
			if i := strings.LastIndexByte(rest, ' '); ok && i >= 0 && (rest[0] == ' ' || rest[0] == '{') {
				if _, err := fmt.Sscan(rest[i:], &value); err != nil {
					c.t.Fatal(err)
				}
				sum += int(value)
			}
		}
		_ = res.Body.Close()
	}
	return sum
}
