package adversary

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(floorVariable); what != "" {
		serveFloor(what)
	}
	processes.Main(m)
}

// status is what a replica says of another one, or nil.
func status(r *processes.Replica, id string) *api.Replica {
	all, err := processes.Get[api.Replicas](r, "/v1/replicas?scope=replica")
	if err != nil {
		return nil
	}
	for i := range all.Replicas {
		if all.Replicas[i].ID == id {
			return &all.Replicas[i]
		}
	}
	return nil
}

// reaches reports whether a replica hands tickets to another.
func reaches(r *processes.Replica, id string) bool {
	s := status(r, id)
	return s != nil && s.Live && s.Reachable
}

// slow skips a test that takes long, unless they were asked for.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("WEIR_ADVERSARY") == "" {
		t.Skip("skipped: it takes long; make adversary runs it")
	}
}

// chance is what a test draws its attacks from: the same ones every time, so that only a change
// of the code can make it fail, and others where many are asked for.
func chance(t *testing.T, many bool) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if many {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, most time.Duration, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(most); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within %v", what, most)
		}
	}
}

// refused reports whether a connection was not taken, so that a client turns to another
// replica.
func refused(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// weir runs the command until it ends.
func weir(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, processes.Binary(), args...).CombinedOutput()
	return string(out), err
}
