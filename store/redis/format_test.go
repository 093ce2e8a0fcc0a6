package redis

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestKeeperSaysWhatItHolds wants a turn after one of another version was refused to say how
// many requests the fleet holds, for a lease, and the last replica that takes leave to make
// room for another format at once.
func TestKeeperSaysWhatItHolds(t *testing.T) {
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l := open("redis://"+server.Addr())(t, clock.Now)
	root := l.(*Ledger).root
	s := &store.Statement{Replica: "a", Incarnation: 1, Members: 1, Register: true, Bands: []store.Band{{Policy: "p", Limit: 8, InFlight: 3}}}
	turn := func() {
		t.Helper()
		s.Number++
		r, err := l.Turn(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		s.Answered, s.Generation, s.Register = s.Number, r.Generation, r.Status == store.Register
	}
	turn()
	turn()
	if held := server.HGet(root, "held"); held != "" {
		t.Errorf("nobody was refused, and the root says that %q are held", held)
	}
	server.HSet(root, "refused", strconv.FormatInt(clock.Now().UnixMicro(), 10))
	turn()
	if held := server.HGet(root, "held"); held != "3" {
		t.Errorf("the root says that %q are held, want 3", held)
	}
	clock.Advance(storetest.Lease)
	s.Bands[0].InFlight = 2
	turn()
	if held := server.HGet(root, "held"); held != "3" {
		t.Errorf("a lease after one was refused the root says that %q are held, want what was last said", held)
	}
	s.Leave = true
	turn()
	if until := server.HGet(root, "until"); until != strconv.FormatInt(clock.Now().UnixMicro(), 10) {
		t.Errorf("after the last replica has left, other formats may begin at %s, want at once, %d", until, clock.Now().UnixMicro())
	}
}

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
	reserved := func() time.Duration {
		t.Helper()
		us, err := strconv.ParseInt(server.HGet(root, "until"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.UnixMicro(us).Sub(clock.Now())
	}
	for range 10 {
		if got := reserved(); got < storetest.Lease {
			t.Fatalf("others may begin %v after a turn, within a lease", got)
		}
		clock.Advance(storetest.Lease / 3)
		if _, err := turn(); err != nil {
			t.Fatal(err)
		}
	}

	server.HSet(root, "format", "1", "until", strconv.FormatInt(clock.Now().Add(storetest.Lease).UnixMicro(), 10), "held", "9")
	noted := regexp.MustCompile(`\n +(refused|held): "\d+"`)
	kept := func() string { return noted.ReplaceAllString(server.Dump(), "") }
	for _, held := range []int64{-1, 7} { // the 9 is from before they were asked
		before := kept()
		_, err := turn()
		var other *store.OtherFormatError
		if !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &other) || !strings.Contains(err.Error(), "another version") {
			t.Fatalf("while another version keeps the ledger: %v", err)
		}
		if other.Format != "1" || other.Held != held {
			t.Errorf("others are told of as %+v, want format 1 that holds %d", other, held)
		}
		if after := kept(); after != before {
			t.Errorf("a turn that was refused changed\n%s\nto\n%s", before, after)
		}
		server.HSet(root, "held", "7")
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
