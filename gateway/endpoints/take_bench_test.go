package endpoints

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
	"github.com/weirflow/weir/store"
)

// BenchmarkTake chooses one of 16 endpoints for a prompt of 16 kB: by load alone, and by what
// is cached as well, where it is said before the grant which one is preferred.
func BenchmarkTake(b *testing.B) {
	plugin, err := scheduling.PrefixCacheFactory("p", nil)
	if err != nil {
		b.Fatal(err)
	}
	byPrefix := LeastLoaded()
	byPrefix.Scorers = append(byPrefix.Scorers, Weighted{plugin.(policies.EndpointScorer), 3})
	var hosts []string
	for i := range 16 {
		hosts = append(hosts, fmt.Sprint("host-", i))
	}
	prompt := bytes.Repeat([]byte("a system prompt that many share "), 512)
	for _, c := range []struct {
		name    string
		profile Profile
		prefers bool
	}{{"load", LeastLoaded(), false}, {"prefix", byPrefix, false}, {"preferred prefix", byPrefix, true}} {
		b.Run(c.name, func(b *testing.B) {
			p := New(Config{Source: Static(specs(hosts...)), Profile: c.profile})
			defer p.Close()
			b.ReportAllocs()
			for b.Loop() {
				q := Query{Model: "m", Prefixes: p.Prefixes("m", prompt)}
				if c.prefers {
					if at := p.Prefer(&q); at != "" {
						q.Granted, q.Preferred = store.Load{Endpoint: at}, true
					}
				}
				slot, _ := p.Take(&q)
				slot.Return()
			}
		})
	}
}
