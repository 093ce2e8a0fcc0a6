package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

var errNoLibrary = errors.New("the test wants a script")

// byScript has ledgers take their turns by a script, whatever their server has.
func byScript(factory storetest.Factory) storetest.Factory {
	return func(tb testing.TB, clock func() time.Time) store.Ledger {
		l := factory(tb, clock)
		l.(*Ledger).turns.refusal.Store(&refusal{errNoLibrary, time.Now().Add(time.Hour)})
		return l
	}
}

// amongOthers has another pool of the same server take a turn before each of the ledger's, and
// every third of these fail halfway.
func amongOthers(factory storetest.Factory) storetest.Factory {
	return func(tb testing.TB, clock func() time.Time) store.Ledger {
		return &disturbed{Ledger: factory(tb, clock).(*Ledger), other: factory(tb, clock).(*Ledger)}
	}
}

type disturbed struct {
	*Ledger
	other *Ledger
	last  atomic.Uint64
}

func (d *disturbed) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	n := d.last.Add(1)
	other := &store.Statement{
		Replica: "a", Incarnation: n, Number: 1, Register: true, Members: 1, Float: 3, WantFloat: 2, InLine: 1, WantLine: 4, Evicts: true, Longest: time.Second,
		Bands:     []store.Band{{Policy: "fair", CountsService: true, Limit: int64(n % 3), Guaranteed: 1}, {Priority: 7, Policy: "other", Limit: 9, InFlight: 2, Guaranteed: 1}},
		Limited:   []store.Limited{{Flow: "f", MaxInFlight: 1, InFlight: 1}, {Group: "g", MaxInFlight: 1, Guaranteed: 1}},
		Loads:     []store.Load{{Endpoint: "x", InFlight: 2, Tokens: 5, Capacity: 2, Permits: 1, Wanted: 1}, {Endpoint: "gone", Capacity: -1}},
		Offers:    []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: n}, Flow: "f", Charge: 9, Weight: 1, Idle: true, Group: "g", IdleGroups: 1}},
		WantLoads: true,
	}
	if n%3 == 0 { // what another has made of the band is met when books were read
		base := fmt.Sprintf("%s:%s:", d.other.root, ledgerFormat)
		epoch := d.other.client.HGet(ctx, d.other.root, "epoch").Val()
		d.other.client.HSet(ctx, base+epoch+":bands", "0", "x")
	}
	if _, err := d.other.Turn(ctx, other); (err != nil) != (n%3 == 0) {
		return nil, fmt.Errorf("turn %d of the other pool: %w", n, err)
	}
	return d.Ledger.Turn(ctx, s)
}

// TestConformanceByScript runs the suite by script on a server that has libraries.
func TestConformanceByScript(t *testing.T) {
	storetest.Run(t, byScript(open(redistest.Start(t).URL())))
}

// withoutLibrary is why a ledger's turns are taken by a script.
func withoutLibrary(l *Ledger) error {
	if r := l.turns.refusal.Load(); r != nil {
		return r.why
	}
	return nil
}

// TestRefusedLibrary wants turns by a script where there can be no library, with the reason,
// and by a library where there can.
func TestRefusedLibrary(t *testing.T) {
	register := &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true}
	check := func(t *testing.T, url, why string) {
		t.Helper()
		l := open(url)(t, storetest.NewClock().Now).(*Ledger)
		if got := fmt.Sprint(withoutLibrary(l)); !strings.Contains(got, why) {
			t.Errorf("without a library for %q, want %q", got, why)
		}
		if _, err := l.Turn(t.Context(), register); err != nil {
			t.Error(err)
		}
	}
	t.Run("no libraries", func(t *testing.T) { check(t, "redis://"+miniredis.RunT(t).Addr(), "unknown command") })
	for _, says := range []string{"ERR unsupported command 'fcall'", "unsupported command 'FCALL'", "ERR Command fcall is not supported"} {
		t.Run("a proxy: "+says, func(t *testing.T) { // which knows some of Redis's commands
			proxy := miniredis.RunT(t)
			proxy.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd != "FCALL" {
					return false
				}
				c.WriteError(says)
				return true
			})
			check(t, "redis://"+proxy.Addr(), says)
		})
	}
	server := redistest.Start(t)
	t.Run("libraries", func(t *testing.T) { check(t, server.URL(), "<nil>") })
	for _, c := range []struct{ may, why string }{
		{"+@all -function|load", "function|load"}, {"+@all -fcall", "fcall"}, {"+@all -function", "<nil>"}, // the last one finds it loaded
	} {
		t.Run(c.may, func(t *testing.T) {
			if c.why == "function|load" {
				server.Client().FunctionFlush(t.Context())
				defer server.Client().FunctionLoad(t.Context(), newRunner(&turn, nil).library)
			}
			rules := append([]any{"ACL", "SETUSER", "weir", "reset", "on", ">a-password", "~*", "&*"}, fields(c.may)...)
			if err := server.Client().Do(t.Context(), rules...).Err(); err != nil {
				t.Fatal(err)
			}
			check(t, strings.Replace(server.URL(), "redis://", "redis://weir:a-password@", 1), c.why)
		})
	}
}

// TestRefusedWhileServing takes a user's right to load libraries away while it serves, and
// deletes the library: turns go on by a script, which is said once, and by the function again
// some time after the right is back.
func TestRefusedWhileServing(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	rights := func(rules ...any) {
		t.Helper()
		if err := client.Do(t.Context(), append([]any{"ACL", "SETUSER", "weir"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rights("reset", "on", ">a-password", "~*", "&*", "+@all")
	var said []string
	s, err := Connect(Config{
		URL:      strings.Replace(server.URL(), "redis://", "redis://weir:a-password@", 1),
		ByScript: func(why error) { said = append(said, fmt.Sprint(why)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	l, err := s.Open(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	number := uint64(0)
	turn := func() {
		t.Helper()
		number++
		if r, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: number, Register: true}); err != nil || r.Applied != number {
			t.Fatalf("turn %d: %+v, %v", number, r, err)
		}
	}
	turn()
	rights("-function|load")
	client.FunctionFlush(t.Context())
	turn()
	turn()
	if len(said) != 1 || !strings.Contains(said[0], "function|load") {
		t.Fatalf("said %q, want once that the user may not load functions", said)
	}
	rights("+function|load")
	turn()
	if withoutLibrary(l) == nil {
		t.Error("it asks again at each turn")
	}
	l.turns.refusal.Load().at = time.Now().Add(-refusalHolds)
	turn()
	if err := withoutLibrary(l); err != nil || len(said) != 2 || said[1] != "<nil>" {
		t.Errorf("the right is back: %v, said %q", err, said)
	}
}

// TestForeignLibrary has somebody else's library be there by the ledger's name: turns are taken
// by a script, and the reason names the library.
func TestForeignLibrary(t *testing.T) {
	server := redistest.Start(t)
	name := newRunner(&turn, nil).name
	code := "#!lua name=" + name + "\nredis.register_function('other', function() return 1 end)\n"
	if err := server.Client().FunctionLoad(t.Context(), code).Err(); err != nil {
		t.Fatal(err)
	}
	l := open(server.URL())(t, storetest.NewClock().Now).(*Ledger)
	if r, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true}); err != nil || r.Applied != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if why := fmt.Sprint(withoutLibrary(l)); !strings.Contains(why, name) {
		t.Errorf("by a script since %q, want a reason that names the library", why)
	}
}

func fields(text string) (all []any) {
	for _, field := range strings.Fields(text) {
		all = append(all, field)
	}
	return all
}

// TestLibraryComesBack deletes all libraries in the midst of things: the next turn loads its
// own again, and is taken once.
func TestLibraryComesBack(t *testing.T) {
	nodes, url := redistest.StartCluster(t, 3)
	l := open(url)(t, storetest.NewClock().Now).(*Ledger)
	client := redistest.HolderOf(t, nodes, l.root).Client()
	for n := range uint64(3) {
		if err := client.FunctionFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: n + 1, Register: true})
		if err != nil || r.Applied != n+1 {
			t.Errorf("turn %d: %+v, %v", n+1, r, err)
		}
		if err := withoutLibrary(l); err != nil {
			t.Errorf("after turn %d there is no library: %v", n+1, err)
		}
	}
}

// TestLibrariesOfTwoVersions has another version's library come and go: neither keeps the
// other from taking turns, what is not this one's kind stays, and who opens last tidies up.
func TestLibrariesOfTwoVersions(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	load := func(name string) {
		t.Helper()
		code := "#!lua name=" + name + "\nredis.register_function('" + name + "', function() return 1 end)\n"
		if err := client.FunctionLoad(t.Context(), code).Err(); err != nil {
			t.Fatal(err)
		}
	}
	load("weir_turn_0123456789abcdef")
	load("weir_turning")
	l := open(server.URL())(t, storetest.NewClock().Now).(*Ledger)
	want := map[string]bool{"weir_turning": true, l.turns.name: true}
	check := func() {
		t.Helper()
		libraries, err := client.FunctionList(t.Context(), goredis.FunctionListQuery{}).Result()
		if err != nil || len(libraries) != len(want) {
			t.Errorf("libraries %+v, %v; want %v", libraries, err, want)
		}
		for _, library := range libraries {
			if !want[library.Name] {
				t.Errorf("library %s is there, want %v", library.Name, want)
			}
		}
	}
	check()
	load("weir_turn_0123456789abcdef") // by a replica of the other version, which goes on
	want["weir_turn_0123456789abcdef"] = true
	if err := client.FunctionDelete(t.Context(), l.turns.name).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true}); err != nil {
		t.Error(err)
	}
	check()
}
