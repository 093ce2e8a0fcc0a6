package shares

import (
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestSharesInAnOutage has a low priority get its guarantee, or its share by weight, beside a
// flood at each of two processes that have lost Redis, within its half of the pool; and so
// what a reload makes of it meanwhile.
func TestSharesInAnOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	for name, files := range map[string][2]string{
		"a guarantee of 25%, then of 50%":     {guaranteeing("25%"), guaranteeing("50%")},
		"weights of 3 and 1, then of 1 and 1": {weighing(3, 1), weighing(1, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, 2, files[0])
			f.everywhere("flood", 40)
			f.everywhere("batch", 40)
			f.next(100)
			f.redis.Kill()
			for _, r := range f.replicas {
				f.cluster().Wait(r.ID+" is in an outage", processes.Patience, func() bool {
					pool, err := processes.Get[api.Pool](r, "/v1/pool?scope=replica")
					return err == nil && pool.Ledger.State == "outage"
				})
			}
			f.next(100) // what was in flight before is over
			f.share("without Redis, 25% due", f.next(200), 0.22, 0.29, "batch")
			f.reload(files[1])
			f.next(100)
			f.share("without Redis, 50% by a reload", f.next(200), 0.46, 0.54, "batch")
		})
	}
}
