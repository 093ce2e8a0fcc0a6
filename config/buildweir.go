package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
)

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// fallback gives a field its default.
func fallback[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func fallbackTime(field **Duration, value time.Duration) {
	if *field == nil {
		d := Duration(value)
		*field = &d
	}
}

func (b *builder) weir() {
	w := &b.file.Weir
	fallback(&w.Pool, "default")
	fallback(&w.Listen, "127.0.0.1:8080")
	fallback(&w.Admin, "127.0.0.1:9090")
	fallback(&w.MaxBody, 32<<20)
	fallbackTime(&w.DrainTimeout, 30*time.Second)
	b.address("weir.listen", w.Listen)
	b.address("weir.admin", w.Admin)
	b.address("weir.extProc.listen", w.ExtProc.Listen)
	if w.ExtProc.Fallbacks < 0 || w.ExtProc.Fallbacks > 10 {
		b.wrong("weir.extProc.fallbacks", "%d is not from 0 to 10", w.ExtProc.Fallbacks)
	}
	if (w.ExtProc.Cert == "") != (w.ExtProc.Key == "") {
		b.wrong("weir.extProc.cert", "give both of cert and key, or none")
	}
	if w.MaxBody < 1 || w.MaxBody > 1<<30 {
		b.wrong("weir.maxBody", "%d is not from 1 to 1Gi", w.MaxBody)
	}
	if *w.DrainTimeout < 0 {
		b.wrong("weir.drainTimeout", "%v is negative", *w.DrainTimeout)
	}
	if len(w.Replica) > 128 || strings.ContainsAny(w.Replica, " \t\n{}:") {
		b.wrong("weir.replica", "%q has more than 128 characters, spaces, braces or colons", w.Replica)
	}
	for i, e := range w.Endpoints {
		if _, err := endpoints.ParseURL(e.URL); err != nil {
			b.wrong(indexed("weir.endpoints", i)+".url", "%v", err)
		}
	}
	b.metrics()
	b.store()
	b.fleet()
	b.flows()
}

func (b *builder) metrics() {
	m := &b.file.Weir.Metrics
	fallbackTime(&m.Interval, 50*time.Millisecond)
	fallback(&m.Server, "vllm")
	if *m.Interval < Duration(10*time.Millisecond) || *m.Interval > Duration(time.Minute) {
		b.wrong("weir.metrics.interval", "%v is not from 10ms to 1m", *m.Interval)
	}
	var names endpoints.MetricNames
	switch m.Server {
	case "vllm":
		names = endpoints.VLLMMetrics()
	case "sglang":
		names = endpoints.SGLangMetrics()
	case "tensorrt-llm":
		names = endpoints.TensorRTLLMMetrics()
	default:
		b.wrong("weir.metrics.server", "%q is given, it must be vllm, sglang or tensorrt-llm; name the metrics yourself for another", m.Server)
	}
	fallback(&m.Waiting, names.Waiting)
	fallback(&m.Running, names.Running)
	fallback(&m.KVCacheUsage, names.KVCacheUsage)
	fallback(&m.LoRA, names.LoRA)
}

func (b *builder) store() {
	s := &b.file.Weir.Store
	fallback(&s.Prefix, "weir:")
	fallback(&s.OnOutage, "share")
	fallbackTime(&s.Lease, 3*time.Second)
	if u, err := url.Parse(s.Redis); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret {
			b.wrong("weir.store.redis", "no password in the URL: use passwordFile or WEIR_REDIS_PASSWORD")
		}
	}
	if s.OnOutage != "share" && s.OnOutage != "hold" {
		b.wrong("weir.store.onOutage", "%q is given, it must be share or hold", s.OnOutage)
	}
	if *s.Lease < Duration(100*time.Millisecond) || *s.Lease > Duration(time.Hour) {
		b.wrong("weir.store.lease", "%v is not from 100ms to 1h", *s.Lease)
	}
}

func (b *builder) fleet() {
	f := &b.file.Weir.Fleet
	fallback(&f.Name, "weir")
	fallback(&f.Peer, "127.0.0.1:0")
	b.address("weir.fleet.gossip", f.Gossip)
	b.address("weir.fleet.peer", f.Peer)
	switch {
	case f.Gossip == "" && len(f.Join) > 0:
		b.wrong("weir.fleet.join", "this replica needs a gossip address, too")
	case f.Gossip != "" && b.file.Weir.Store.Redis == "":
		b.wrong("weir.fleet.gossip", "replicas of a fleet share a ledger: give all of them the same weir.store.redis")
	case (f.PeerCert == "") != (f.PeerKey == "") || (f.PeerCert == "") != (f.PeerCA == ""):
		b.wrong("weir.fleet.peerCert", "give all three of peerCert, peerKey and peerCA, or none")
	}
}

func (b *builder) flows() {
	w := &b.file.Weir
	objectives := make(map[string]bool)
	for i, o := range w.Objectives {
		path := indexed("weir.objectives", i)
		if o.Name == "" {
			b.wrong(path+".name", "is missing; give what the objective header says")
		}
		if objectives[o.Name] {
			b.wrong(path+".name", "%q is listed twice", o.Name)
		}
		objectives[o.Name] = true
		b.priority(path+".priority", o.Priority)
	}
	for i := range w.Flows {
		f := &w.Flows[i]
		path := indexed("weir.flows", i)
		if f.ID == "" {
			b.wrong(path+".id", `is missing; give a flow's id, or a pattern such as "team-*"`)
		}
		if _, given := b.lines[path+".weight"]; !given {
			f.Weight = 1
		}
		if !(f.Weight > 0 && f.Weight <= 1e6) {
			b.wrong(path+".weight", "%v is not above 0 and at most 1000000", f.Weight)
		}
		if f.Priority != nil {
			b.priority(path+".priority", *f.Priority)
		}
		if f.MaxInFlight < 0 {
			b.wrong(path+".maxInFlight", "%d is negative; leave it out for no limit", f.MaxInFlight)
		}
		if !(f.TokensPerMinute >= 0 && f.TokensPerMinute <= 1e12) {
			b.wrong(path+".tokensPerMinute", "%v is not from 0 to 1e12", f.TokensPerMinute)
		}
		if f.OverLimit != "" && f.OverLimit != "wait" && f.OverLimit != "reject" {
			b.wrong(path+".overLimit", "%q is given, it must be wait or reject", f.OverLimit)
		}
	}
	b.plan.Flows = newFlows(w)
	if w.Identity.APIKeys != "" {
		b.keys(w.Identity.APIKeys)
	}
	if w.MaxFlows < 0 || w.MaxFlows > 1_000_000 {
		b.wrong("weir.maxFlows", "%d is not from 1 to 1000000", w.MaxFlows)
	}
	fallback(&w.MaxFlows, 10_000)
}

// maxPriority bounds priorities, so that they mean the same in every replica and
// in the ledger.
const maxPriority = 1 << 31

func (b *builder) priority(path string, p int) {
	if p < -maxPriority || p > maxPriority {
		b.wrong(path, "%d is out of range: from %d to %d", p, -maxPriority, maxPriority)
	}
}
