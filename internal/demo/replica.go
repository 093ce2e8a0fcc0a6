package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/admin"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/internal/build"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// replica is one Weir replica with its HTTP address.
type replica struct {
	id         string
	controller *controller.Controller
	pool       *gateway.Pool
	proxy      *proxy.Proxy
	server     *http.Server
	url        string
	streams    *stream.Streams
	started    time.Time
	gossip     string // its address; empty for a replica on its own

	traffic *traffic.Log
	console *admin.Server

	severed atomic.Bool // it was killed: nothing it sends arrives any more
}

// startReplica starts a replica; with gossip, in the fleet of the others.
func (f *fleet) startReplica(i int, ledger store.Ledger, withGossip bool) (_ *replica, err error) {
	r := &replica{id: replicaID(i), traffic: traffic.NewLog(), started: time.Now()}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	incarnation := uint64(time.Now().UnixNano())
	options := append(f.options(i), controller.WithIncarnation(incarnation), controller.WithObserver(controller.Observers{f.observer, r.traffic}))
	var others coordinator.Questions
	if withGossip {
		g, err := f.joinGossip(r, incarnation)
		if err != nil {
			return nil, err
		}
		r.gossip, others = g.Address(), g
		options = append(options, controller.WithFleet(severableFleet{g, r}))
	}
	if r.controller, err = controller.NewController(severableLedger{ledger, r}, options...); err != nil {
		return nil, err
	}
	source, err := endpoints.NewStatic(f.upstreams...)
	if err != nil {
		return nil, err
	}
	r.pool = gateway.NewPool(gateway.PoolConfig{
		Controller: r.controller, Endpoints: endpoints.Config{Source: source, Replica: r.id}, Refused: r.traffic.Refused, Served: func(flow policies.FlowKey, s flows.Served) { r.traffic.Served(flow, s.Charged) },
	})
	r.proxy = proxy.New(gateway.New(gateway.Config{}, gateway.Only(r.pool)), proxy.Config{})
	name := "demo: one shared ledger"
	if !withGossip {
		name = "demo: " + r.id + " on its own"
	}
	r.console = admin.New(admin.Config{
		Replica: r.id, Pool: name, Version: build.Read().Version, Gateway: r.pool, Traffic: r.traffic, Fleet: others,
		Configuration: func() admin.Configuration {
			return admin.Configuration{YAML: "# the demo has none: see weir demo --help\n", Loaded: r.started, Fingerprint: "demo", Weight: f.weight}
		},
	})
	r.server = &http.Server{Handler: r.proxy, ReadHeaderTimeout: 10 * time.Second}
	r.url, err = listenAndServe(r.server)
	return r, err
}

func (f *fleet) joinGossip(r *replica, incarnation uint64) (*gossip.Fleet, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	r.streams, err = stream.New(stream.Config{Listener: l, Replica: r.id, Incarnation: incarnation, Shards: shard.Count})
	if err != nil {
		return nil, err
	}
	cfg := gossip.Config{
		Replica: r.id, Incarnation: incarnation, Shards: shard.Count, Bind: "127.0.0.1:0", PeerAddress: l.Addr().String(),
		Streams: r.streams, Rejoin: time.Second,
		Network: func(n *memberlist.NetTransport) memberlist.NodeAwareTransport {
			return &cuttable{NetTransport: n, severed: &r.severed, cuts: &f.cuts}
		},
	}
	for _, other := range f.living() {
		cfg.Seeds = append(cfg.Seeds, other.gossip)
	}
	g, err := gossip.New(cfg)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	if _, err := g.Join(context.Background()); err != nil {
		return nil, err
	}
	return g, nil
}

func (r *replica) stop() {
	if r.server != nil {
		_ = r.server.Close()
	}
	if r.console != nil {
		r.console.Close()
	}
	if r.controller != nil {
		r.controller.Close()
	}
	if r.proxy != nil {
		r.proxy.Close()
		r.pool.Close()
	}
}

// severableLedger cannot be reached by a replica that was killed.
type severableLedger struct {
	store.Ledger
	r *replica
}

// Turn implements store.Ledger.
func (l severableLedger) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	if l.r.severed.Load() {
		return nil, store.ErrUnavailable
	}
	return l.Ledger.Turn(ctx, s)
}

// severableFleet sends nothing for a replica that was killed.
type severableFleet struct {
	coordinator.Fleet
	r *replica
}

// Send implements coordinator.Fleet.
func (f severableFleet) Send(m coordinator.Message) {
	if !f.r.severed.Load() {
		f.Fleet.Send(m)
	}
}

// cuts are the gossip addresses that are cut off from all others.
type cuts struct {
	mu  sync.Mutex
	off map[string]bool
}

func (c *cuts) set(address string, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off == nil {
		c.off = make(map[string]bool)
	}
	c.off[address] = off
}

func (c *cuts) between(a, b string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off[a] || c.off[b]
}

// cuttable is a gossip transport that can be cut: it sends nothing to or from a
// replica that is cut off.
type cuttable struct {
	*memberlist.NetTransport
	severed *atomic.Bool
	cuts    *cuts
}

func (t *cuttable) cut(to string) bool {
	self := fmt.Sprint("127.0.0.1:", t.GetAutoBindPort())
	return t.severed.Load() || t.cuts.between(self, to)
}

// WriteTo implements memberlist.Transport.
func (t *cuttable) WriteTo(b []byte, to string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: to})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *cuttable) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if t.cut(to.Addr) {
		return time.Now(), nil // lost on the way
	}
	return t.NetTransport.WriteToAddress(b, to)
}

// DialTimeout implements memberlist.Transport.
func (t *cuttable) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: to}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *cuttable) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.cut(to.Addr) {
		return nil, fmt.Errorf("dial %s: the gossip is cut", to.Addr)
	}
	return t.NetTransport.DialAddressTimeout(to, timeout)
}
