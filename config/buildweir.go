package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store/redis"
)

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (b *builder) weir() {
	w := &b.file.Weir
	b.poolName("weir.pool", w.Pool, make(map[string]bool))
	b.oneOrSeveral()
	b.inferencePools()
	b.delegation(&w.ExtProc)
	b.listeners()
	if w.ExtProc.Fallbacks < 0 || w.ExtProc.Fallbacks > 10 {
		b.wrong("weir.extProc.fallbacks", "must be from 0 to 10")
	}
	b.filled("weir.adminTokenFile", w.AdminTokenFile, "nobody but probes passes")
	if selection, err := accesslog.Parse(w.AccessLog); err != nil {
		b.wrong("weir.accessLog", "%v", err)
	} else {
		b.plan.AccessLog = selection
	}
	b.keyPair("weir.tls.cert", "weir.tls.key", w.TLS.Cert, w.TLS.Key)
	b.keyPair("weir.extProc.cert", "weir.extProc.key", w.ExtProc.Cert, w.ExtProc.Key)
	if w.MaxBody < 1 || w.MaxBody > 1<<30 {
		b.wrong("weir.maxBody", "must be from 1 to 1Gi")
	}
	if w.MaxHeaderBytes < 4<<10 || w.MaxHeaderBytes > 1<<20 {
		b.wrong("weir.maxHeaderBytes", "must be from 4Ki to 1Mi")
	}
	if w.MemoryBudget < 1<<20 && b.given("weir.memoryBudget") {
		b.wrong("weir.memoryBudget", "must be at least 1Mi")
	}
	b.timeouts("weir.timeouts", &w.Timeouts)
	if c := w.CachedTokenWeight; c != nil && !(*c >= 0 && *c <= 1) {
		b.wrong("weir.cachedTokenWeight", "must be from 0 to 1")
	}
	if *w.DrainTimeout < 0 {
		b.wrong("weir.drainTimeout", "must not be negative")
	}
	b.replicaName()
	b.endpoints()
	b.metrics()
	b.store()
	b.fleet()
	b.flows()
	b.shares()
	b.spanning()
	b.needs()
}

func (b *builder) store() {
	s := &b.file.Weir.Store
	if u, err := url.Parse(s.Redis); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret {
			b.wrong("weir.store.redis", "must hold no password: use %s or WEIR_REDIS_PASSWORD", b.called("weir.store.passwordFile", "weir.store.redis"))
		}
	}
	if s.Redis != "" {
		if err := redis.CheckURL(s.Redis); err != nil {
			b.wrong("weir.store.redis", "%v", err)
		}
	}
	b.plainName("weir.store.prefix", s.Prefix, "{}", "spaces, braces")
	b.filled("weir.store.passwordFile", s.PasswordFile, "it is no password")
	b.keyPair("weir.store.cert", "weir.store.key", s.Cert, s.Key)
	b.authority("weir.store.ca", s.CA)
	for path, file := range map[string]string{"weir.store.cert": s.Cert, "weir.store.ca": s.CA} {
		if file != "" && !strings.HasPrefix(s.Redis, "rediss://") {
			b.wrong(path, "is for TLS: %s must begin with rediss://", b.called("weir.store.redis", path))
		}
	}
	if *s.Lease < Duration(100*time.Millisecond) || *s.Lease > Duration(time.Hour) {
		b.wrong("weir.store.lease", "must be from 100ms to 1h")
	}
	if *s.KeepLost < *s.Lease || *s.KeepLost > Duration(24*time.Hour) {
		b.wrong("weir.store.keepLost", "must be from the lease, %v, to 24h", time.Duration(*s.Lease))
	}
}

func (b *builder) fleet() {
	f := &b.file.Weir.Fleet
	const gossip, join = "weir.fleet.gossip", "weir.fleet.join"
	b.plainName("weir.fleet.name", f.Name, "", "spaces")
	switch {
	case f.Gossip == "" && len(f.Join) > 0:
		b.wrong(join, "give this replica an address by %s, too", b.called(gossip, join))
	case f.Gossip != "" && b.file.Weir.Store.Redis == "":
		b.wrong(gossip, "replicas of a fleet share a ledger: give all of them the same %s", b.called("weir.store.redis", gossip))
	}
	for i, address := range f.Join {
		b.remote(indexed(join, i), address)
	}
	b.advertised(f)
	b.gossipKey(f.GossipKeyFile)
	const cert, key, ca = "weir.fleet.peerCert", "weir.fleet.peerKey", "weir.fleet.peerCA"
	if (f.PeerCert == "") != (f.PeerCA == "") && (f.PeerCert == "") == (f.PeerKey == "") {
		at := ca
		if f.PeerCA == "" {
			at = cert
		}
		b.wrong(at, "give all three of %s, %s and %s, or none", b.called(cert, at), b.called(key, at), b.called(ca, at))
	}
	b.keyPair(cert, key, f.PeerCert, f.PeerKey)
	b.authority(ca, f.PeerCA)
	b.exposure(f)
}

// exposure refuses to take other machines for replicas that prove nothing. Certificates
// secure the ticket streams, and the gossip only a key.
func (c *checks) exposure(f *Fleet) {
	const gossip, peer, key, cert, insecure = "weir.fleet.gossip", "weir.fleet.peer", "weir.fleet.gossipKeyFile", "weir.fleet.peerCert", "weir.fleet.insecure"
	if f.Gossip == "" || f.GossipKeyFile != "" || f.Insecure {
		return
	}
	if beyondLoopback(f.Gossip) {
		c.wrong(gossip, "whoever reaches it could join the fleet: give all replicas the same %s, or say %s", c.called(key, gossip), c.called(insecure, gossip))
	} else if beyondLoopback(f.Peer) && f.PeerCert == "" {
		c.wrong(peer, "whoever reaches it could pose as a replica: give all replicas the same %s, or each its own %s, or say %s",
			c.called(key, peer), c.called(cert, peer), c.called(insecure, peer))
	}
}

// beyondLoopback reports whether an address can be reached from other machines.
func beyondLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return false // it is reported elsewhere, or this machine's own
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

func (b *builder) flows() {
	w := &b.file.Weir
	objectives := make(map[string]bool)
	for i, o := range w.Objectives {
		path := indexed("weir.objectives", i)
		if o.Name == "" {
			b.wrong(path+".name", "is missing; give what the objective header says")
		} else if objectives[o.Name] {
			b.wrong(path+".name", "is listed above")
		}
		b.id(path+".name", o.Name)
		objectives[o.Name] = true
		b.priority(path+".priority", o.Priority)
		b.timeouts(path+".timeouts", &w.Objectives[i].Timeouts)
	}
	ids := make(map[string]bool)
	for i := range w.Flows {
		f := &w.Flows[i]
		path := indexed("weir.flows", i)
		if f.ID == "" {
			b.wrong(path+".id", `is missing; give a flow's id, or a pattern such as "team-*"`)
		}
		if ids[f.ID] && f.ID != "" {
			b.wrong(path+".id", "is listed above: the first one holds")
		}
		ids[f.ID] = true
		b.id(path+".id", f.ID)
		for k, objective := range f.Objectives {
			if b.id(indexed(path+".objectives", k), objective); objective == "" {
				b.wrong(indexed(path+".objectives", k), "must not be empty; a request that names no objective is for its priority in any case")
			}
		}
		if !b.given(path + ".weight") {
			f.Weight = 1
		}
		if !(f.Weight > 0 && f.Weight <= 1e6) {
			b.wrong(path+".weight", "must be above 0 and at most 1000000")
		}
		if f.Priority != nil {
			b.priority(path+".priority", *f.Priority)
		}
		if f.MaxPriority != nil {
			b.priority(path+".maxPriority", *f.MaxPriority)
		}
		if f.MaxInFlight < 0 {
			b.wrong(path+".maxInFlight", "must not be negative; leave it out for no limit")
		}
		if !(f.TokensPerMinute >= 0 && f.TokensPerMinute <= 1e12) {
			b.wrong(path+".tokensPerMinute", "must be from 0 to 1e12")
		}
	}
	b.plan.Flows = newFlows(w)
	b.groups()
	b.keys()
	if w.MaxFlows < 1 || w.MaxFlows > 1_000_000 {
		b.wrong("weir.maxFlows", "must be from 1 to 1000000")
	}
	if n := w.Newcomers; n.For != nil && !(*n.For >= 0 && time.Duration(*n.For) <= time.Hour) {
		b.wrong("weir.newcomers.for", "must be from 0s, for none, to 1h")
	}
	if n := w.Newcomers.Weight; n != nil && !(*n > 0 && *n <= 1e6) {
		b.wrong("weir.newcomers.weight", "must be above 0, up to 1e6")
	}
}

func (c *checks) priority(path string, p int) {
	if p < policies.MinPriority || p > policies.MaxPriority {
		c.wrong(path, "must be a 32-bit number: from %d to %d", policies.MinPriority, policies.MaxPriority)
	}
}
