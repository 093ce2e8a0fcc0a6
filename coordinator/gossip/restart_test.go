package gossip

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestConflictIsLoggedOnce has gossip tell again and again that an id is in use at two addresses, as it
// does while a replica that was started again elsewhere is not known to have died.
func TestConflictIsLoggedOnce(t *testing.T) {
	logged, logs := observer.New(zapcore.WarnLevel)
	f := start(t, "a", func(c *Config) { c.Logger = zap.New(logged) })
	at := func(port uint16) *memberlist.Node {
		return &memberlist.Node{Name: "b", Addr: net.IPv4(127, 0, 0, 1), Port: port}
	}
	for range 20 {
		delegate{f.Fleet}.NotifyConflict(at(1), at(2))
		delegate{f.Fleet}.NotifyConflict(at(2), at(3))
	}
	if said := logs.FilterField(zap.String("id", "b")).Len(); said != 2 {
		t.Errorf("it is logged %d times, want once for each pair of addresses", said)
	}
}

// TestFormerRun starts a replica anew at its address while the others count on its
// earlier run: it takes its place at once. At another address, or with an incarnation
// that is not later, the id is taken.
func TestFormerRun(t *testing.T) {
	a := start(t, "a", nil)
	former, err := New(Config{Replica: "b", Incarnation: 1, Shards: 256, Bind: "127.0.0.1:0", Seeds: []string{a.Address()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := former.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.sees(t, "a", "b")
	address := former.Address()
	if err := former.list.Shutdown(); err != nil { // without a leave: it died
		t.Fatal(err)
	}
	began := time.Now()
	again := start(t, "b", func(c *Config) { c.Bind, c.Incarnation = address, 2 }, a)
	// A few milliseconds; up to 2 s where others leave it a hundredth of a CPU.
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("joined after %v", took)
	}
	again.sees(t, "a", "b")
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if live := a.Fleet.members().Live; len(live) == 2 && live[1].Incarnation == 2 {
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("a sees %v", a.Fleet.members())
		}
	}

	for name, other := range map[string]struct {
		address     string
		incarnation uint64
	}{
		"elsewhere": {"127.0.0.1:1", 1}, "later": {again.Address(), 3},
	} {
		n := *again.list.LocalNode()
		n.Meta = []byte(strings.Replace(string(n.Meta), `"i":2`, `"i":`+string(rune('0'+other.incarnation)), 1))
		if other.address != again.Address() {
			n.Port = 1
		}
		if err := (delegate{again.Fleet}).NotifyAlive(&n); err == nil {
			t.Errorf("%s: it is not refused", name)
		}
	}
}
