package integration

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestStarved measures false alarms: three replicas under load beside processes
// that want every CPU several times over. A replica that is taken for dead costs
// moves of shards, and must cost nothing else. "make alarms" runs it.
func TestStarved(t *testing.T) {
	if os.Getenv("WEIR_ALARMS") == "" {
		t.Skip("skipped: a measurement of a minute and a half; make alarms runs it")
	}
	c := processes.StartCluster(t, 3)
	l, tenants := c.Uneven()
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
		suspicions, deaths, moves := c.Counter("memberlist_msg_suspect"), c.Counter("memberlist_msg_dead"), c.Counter("weir_fleet_shard_moves_total")
		requests, jain := l.Window(window, tenants...)
		t.Logf("%d busy processes a CPU, %v: %d suspicions, %d deaths heard of, %d moves; %.0f requests/s, Jain index %.4f, at most %d of %d in flight",
			burners, window, c.Counter("memberlist_msg_suspect")-suspicions, c.Counter("memberlist_msg_dead")-deaths,
			c.Counter("weir_fleet_shard_moves_total")-moves, float64(requests)/window.Seconds(), jain, c.Servers.Peak.Load(), processes.Limit)
		c.WithinLimit(fmt.Sprint(burners, " busy processes a CPU"))
		for _, b := range burning {
			_ = b.Process.Kill()
			_ = b.Wait()
		}
	}
	c.NoneFailed("starved", l, nil)
}
