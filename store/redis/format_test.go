package redis

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestOtherFormat has replicas of another version take the ledger over in the midst of
// things, as in a rolling update: this version's do without it until no other has taken
// a turn for a lease, and then begin a generation that waits for all to register.
func TestOtherFormat(t *testing.T) {
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l := open("redis://"+server.Addr())(t, clock.Now)
	root := l.(*Ledger).root
	s := &store.Statement{Replica: "a", Incarnation: 1, Members: 2, Register: true}
	turn := func() (*store.Reply, error) {
		s.Number++
		r, err := l.Turn(t.Context(), s)
		if err == nil {
			s.Answered, s.Generation, s.Register = s.Number, r.Generation, r.Status == store.Register
		}
		return r, err
	}
	if _, err := turn(); err != nil {
		t.Fatal(err)
	}
	generation := s.Generation
	if got := server.HGet(root, "format"); got != ledgerFormat {
		t.Fatalf("the ledger says that its format is %q, not %q", got, ledgerFormat)
	}

	// The others wait while this version takes turns, however long it does.
	kept := func() time.Duration {
		t.Helper()
		us, err := strconv.ParseInt(server.HGet(root, "until"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.UnixMicro(us).Sub(clock.Now())
	}
	for range 10 {
		if got := kept(); got < storetest.Lease {
			t.Fatalf("others may begin %v after a turn, within a lease", got)
		}
		clock.Advance(storetest.Lease / 3)
		if _, err := turn(); err != nil {
			t.Fatal(err)
		}
	}

	server.HSet(root, "format", "1", "until", strconv.FormatInt(clock.Now().Add(storetest.Lease).UnixMicro(), 10))
	before := server.Dump()
	if _, err := turn(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "another version") {
		t.Fatalf("while another version keeps the ledger: %v", err)
	}
	if server.Dump() != before {
		t.Error("a turn that was refused changed something")
	}
	clock.Advance(storetest.Lease)
	r, err := turn()
	if err != nil || r.Status != store.Register || r.Generation <= generation {
		t.Fatalf("after the others: %+v, %v; want a later generation than %d to register with", r, err, generation)
	}
	if r, err = turn(); err != nil || r.Status != store.OK || !r.Recovering {
		t.Fatalf("registered: %+v, %v; want the ledger to wait for the other member", r, err)
	}
}
