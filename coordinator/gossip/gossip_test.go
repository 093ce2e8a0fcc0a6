package gossip

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/internal/freeport"
)

// patience is how long to wait for what must come, on a machine that has much else to do.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a replica's membership, and what it was told.
type node struct {
	*Fleet
	members chan coordinator.Members
	up      chan string
	logs    *observer.ObservedLogs
}

func (n *node) MembersChanged(m coordinator.Members) { n.members <- m }
func (n *node) Received(coordinator.Message)         {}
func (n *node) StreamChanged(peer string, up bool) {
	if up {
		n.up <- peer
	}
}

// start starts a node that joins by the others.
func start(t *testing.T, id string, configure func(*Config), by ...*node) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	cfg := Config{
		Replica: id, Incarnation: 1, Shards: 256, Bind: "127.0.0.1:0", PeerAddress: l.Addr().String(),
		Rejoin: 200 * time.Millisecond, Logger: zap.New(core),
	}
	for _, n := range by {
		cfg.Seeds = append(cfg.Seeds, n.Address())
	}
	if configure != nil {
		configure(&cfg)
	}
	if cfg.Streams, err = stream.New(stream.Config{
		Listener: l, Replica: id, Incarnation: cfg.Incarnation, Shards: cfg.Shards, Redial: 50 * time.Millisecond, Ledger: cfg.Ledger.Identity,
	}); err != nil {
		t.Fatal(err)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Fleet: f, members: make(chan coordinator.Members, 1000), up: make(chan string, 1000), logs: logs}
	t.Cleanup(func() {
		if err := f.Leave(context.Background()); err != nil {
			t.Log(err) // the others may not be there to hear it, or in time
		}
	})
	if _, err := f.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Start(n)
	return n
}

// sees waits until the node sees exactly these alive.
func (n *node) sees(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.After(patience); ; {
		select {
		case m := <-n.members:
			got = got[:0]
			for _, l := range m.Live {
				got = append(got, l.ID)
			}
			if strings.Join(got, " ") == strings.Join(want, " ") {
				return
			}
		case <-deadline:
			t.Fatalf("%s sees %v alive, want %v", n.cfg.Replica, got, want)
		}
	}
}

// says waits until the node's log has the text.
func (n *node) says(t *testing.T, text string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		for _, e := range n.logs.All() {
			if strings.Contains(e.Message, text) {
				return
			}
			for _, v := range e.ContextMap() {
				if s, ok := v.(string); ok && strings.Contains(s, text) {
					return
				}
			}
		}
	}
	t.Fatalf("the log of %s does not say %q", n.cfg.Replica, text)
}

// TestJoin has three replicas meet by one seed, connect, and one leave.
func TestJoin(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", nil, a)
	c := start(t, "c", nil, a)
	for _, n := range []*node{a, b, c} {
		n.sees(t, "a", "b", "c")
	}
	for range 2 {
		select {
		case <-c.up:
		case <-time.After(patience):
			t.Fatal("c has no streams to both")
		}
	}
	began := time.Now()
	c.Retire()
	if err := c.Leave(t.Context()); err != nil {
		t.Log(err) // it had told them before
	}
	a.sees(t, "a", "b")
	t.Logf("c was gone for a after %v", time.Since(began))
}

// TestLateSeed has the seed of a replica that has met nobody begin after it, as where a fleet starts
// at once: they find each other long before the seeds are asked again to mend a split.
func TestLateSeed(t *testing.T) {
	seed := freeport.Address(t)
	a := start(t, "a", func(c *Config) { c.Seeds, c.Rejoin = []string{seed}, time.Hour })
	a.sees(t, "a")
	b := start(t, "b", func(c *Config) { c.Bind, c.Rejoin = seed, time.Hour })
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
}

// TestRefuses wants replicas kept apart that cannot work together, and words
// that say why.
func TestRefuses(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	for name, tc := range map[string]struct {
		first, second func(*Config)
		says          string // in the log of the first
	}{
		"other shards":  {nil, func(c *Config) { c.Shards = 128 }, `"b" has 128 shards, this replica 256: give all replicas the same number`},
		"other label":   {nil, func(c *Config) { c.Label = "other" }, `"other": from=`},
		"other key":     {func(c *Config) { c.Key = key }, func(c *Config) { c.Key = bytes.Repeat([]byte{8}, 32) }, "no installed keys could decrypt"},
		"no key":        {func(c *Config) { c.Key = key }, nil, "encryption is configured but remote state is not encrypted"},
		"key not asked": {nil, func(c *Config) { c.Key = key }, "remote state is encrypted and encryption is not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "a", tc.first)
			b := start(t, "b", tc.second, a)
			a.says(t, tc.says)
			b.says(t, "no seed answers yet; serving meanwhile")
			a.sees(t, "a")
			if n := a.list.NumMembers(); n != 1 {
				t.Errorf("a has %d members", n)
			}
		})
	}
}

// TestVersions refuses a replica whose protocol is more than one version away.
func TestVersions(t *testing.T) {
	a := start(t, "a", nil)
	for version, ok := range map[int]bool{
		coordinator.ProtocolVersion: true, coordinator.ProtocolVersion + 1: true, coordinator.ProtocolVersion + 2: false,
	} {
		n := *a.list.LocalNode()
		n.Name = "b"
		n.Meta = bytes.Replace(n.Meta, fmt.Appendf(nil, `"v":%d`, coordinator.ProtocolVersion), fmt.Appendf(nil, `"v":%d`, version), 1)
		if err := (delegate{a.Fleet}).NotifyAlive(&n); (err == nil) != ok {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestGarbage sends bytes to the gossip port; those who gossip go on.
func TestGarbage(t *testing.T) {
	a := start(t, "a", nil)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\xff\x13\x37", strings.Repeat("\x03", 60_000)} {
		for _, network := range []string{"tcp", "udp"} {
			c, err := net.Dial(network, a.Address())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte(garbage)) // it may be cut off
			_ = c.Close()
		}
	}
	b := start(t, "b", nil, a)
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
}

// TestUnreachableSeed starts a replica before its seed is there.
func TestUnreachableSeed(t *testing.T) {
	seed := freeport.Address(t)
	a := start(t, "a", func(c *Config) { c.Seeds = []string{seed} })
	a.says(t, "no seed answers yet; serving meanwhile")
	a.sees(t, "a")
	start(t, "b", func(c *Config) { c.Bind = seed })
	a.sees(t, "a", "b")
}

func TestBadAddress(t *testing.T) {
	for name, tc := range map[string]struct {
		configure func(*Config)
		want      string
	}{
		"unspecified":   {func(c *Config) { c.Bind = "0.0.0.0:0" }, "can't be reached by others"},
		"no port":       {func(c *Config) { c.Bind = "127.0.0.1" }, "missing port"},
		"not a machine": {func(c *Config) { c.Advertise = "::::1:7" }, "advertised address"},
		"not ours":      {func(c *Config) { c.Bind = "192.0.2.1:7946" }, "192.0.2.1"},
	} {
		cfg := Config{Replica: "a", Bind: "127.0.0.1:0"}
		tc.configure(&cfg)
		f, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want words with %q", name, err, tc.want)
		}
		if f != nil {
			_ = f.list.Shutdown()
		}
	}
}

func TestLoadKey(t *testing.T) {
	for text, want := range map[string]string{
		"MDEyMzQ1Njc4OWFiY2RlZg==\n": "", "MDEy": "it has 3 bytes", "?": "it must be base64",
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKey(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := LoadKey("nowhere"); err == nil {
		t.Error("a key that is not there was loaded")
	}
}
