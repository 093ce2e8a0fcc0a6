package adversary

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/test/processes"
)

// TestRestartedAtOnce kills a replica and starts it again at its addresses, before the
// others can have noticed: it is ready about as soon as one that starts for the first
// time.
func TestRestartedAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 3 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 2)
	address := freeport.Address(t)
	start := func() (*processes.Replica, time.Duration) {
		began := time.Now()
		c.Replicas = c.Replicas[:2]
		return c.Add("r3", "--gossip", address), time.Since(began)
	}
	r, plain := start()
	for _, pause := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond} {
		r.Kill()
		time.Sleep(pause)
		var took time.Duration
		r, took = start()
		t.Logf("started again after %v it serves after %v, the first time after %v", pause, took, plain)
		if took > 2*plain+2*time.Second { // at the end of its lease, 3 s, it would in any case
			t.Errorf("started again after %v it serves after %v, the first time after %v", pause, took, plain)
		}
		c.Wait(fmt.Sprint("all agree after ", pause), processes.Patience, func() bool { return c.Agree(3) })
	}
}
