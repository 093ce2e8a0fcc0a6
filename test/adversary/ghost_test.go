package adversary

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/process"
)

// TestRestartedAtOnce kills a replica and starts it again at its addresses, before the
// others can have noticed: it is ready about as soon as one that starts for the first
// time.
func TestRestartedAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	redis, servers := redistest.Start(t), process.StartServers(t, 1, 8, time.Millisecond)
	start := func(id, gossip string, more ...string) *process.Replica {
		return process.Start(t, id, append([]string{"--redis", redis.URL(), "--upstream", servers.URLs[0], "--max-concurrency", "8", "--gossip", gossip}, more...)...)
	}
	first := start("r0", freeAddress(t))
	start("r1", freeAddress(t), "--join", first.Gossip)
	address := freeAddress(t)
	r := start("r2", address, "--join", first.Gossip)
	plain := r.Took
	for _, pause := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			r.Kill()
			time.Sleep(pause)
			began := time.Now()
			r = start("r2", address, "--join", first.Gossip)
			t.Logf("ready after %v; the first time after %v", time.Since(began), plain)
			if took := r.Took; took > plain+time.Second {
				t.Errorf("ready after %v, the first time after %v", took, plain)
			}
			process.Wait(t, "the others reach it", 3*time.Second, func() bool { return reaches(first, "r2") && reaches(r, "r0") && reaches(r, "r1") })
		})
	}
}
