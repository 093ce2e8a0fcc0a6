package endpoints

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// cluster is a fleet in one process: what one tells, the others hear.
type cluster struct {
	mu      sync.Mutex
	members map[string]coordinator.Listener
}

// member is a replica's end of it.
type member struct {
	*cluster
	id string
}

func (m member) Broadcast(o coordinator.Observations) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.members {
		if id != m.id {
			l.Observed(o)
		}
	}
}

func (m member) Listen(l coordinator.Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[m.id] = l
	var live []string
	for id := range m.members {
		live = append(live, id)
	}
	for _, other := range m.members {
		other.Live(live)
	}
}

// TestPrefixes prefers the endpoint that has most of a prompt, whichever replica sent
// the earlier one there.
func TestPrefixes(t *testing.T) {
	plugin, err := scheduling.PrefixCacheFactory("p", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{members: map[string]coordinator.Listener{}}
	profile := LeastLoaded()
	profile.Scorers = []Weighted{{plugin.(policies.EndpointScorer), 3}}
	var pools []*Pool
	for i := range 3 {
		id := fmt.Sprint("r", i)
		pools = append(pools, newPool(t, Config{Source: Static(specs("a", "b", "c", "d")), Profile: profile, Replica: id, Fleet: member{c, id}}))
	}
	prompt := bytes.Repeat([]byte("a system prompt that many share "), 20)
	first, _ := pools[0].Take(&Query{Model: "m", Prefixes: pools[0].Prefixes("m", prompt)})
	flush := func() {
		for _, p := range pools {
			p.board.next(time.Now(), time.Time{}) // it is due
			p.cfg.Fleet.Broadcast(p.board.take(time.Now()))
		}
	}
	flush()
	for i, p := range pools {
		for range 5 {
			next, _ := p.Take(&Query{Model: "m", Prefixes: p.Prefixes("m", append(bytes.Clone(prompt), strings.Repeat("and more ", i)...))})
			if next.Address() != first.Address() {
				t.Errorf("replica %d sends the prompt to %s, %s has it", i, next.Address(), first.Address())
			}
		}
	}
	if shares := pools[1].prefixes.match(pools[1].prefixes.hash("another", prompt)); len(shares) > 0 {
		t.Errorf("another model's prompt is said to be at %v", shares)
	}
	pools[2].update(specs("a", "b", "c", "d", "e"))
	pools[2].board.Observed(coordinator.Observations{Placements: []coordinator.Placement{{Endpoint: "unknown:80", Prefixes: []uint64{1}}}})
	if n := len(pools[2].prefixes.endpoints); n > 4 {
		t.Errorf("%d endpoints are remembered", n)
	}
}

// TestPrefixIndex compares the index with a plain one, without forgetting.
func TestPrefixIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newPrefixes(policies.PrefixIndexing{BlockSize: 8, MaxBlocks: 6, PerEndpoint: rapid.IntRange(6, 40).Draw(t, "capacity")})
		sent := map[string][][]byte{}
		prompt := func() []byte {
			var p []byte
			for range rapid.IntRange(0, 8).Draw(t, "blocks") {
				p = append(p, bytes.Repeat([]byte(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "block")), 8)...)
			}
			return p
		}
		for range rapid.IntRange(0, 30).Draw(t, "sent") {
			to, p := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "to"), prompt()
			x.add(to, x.hash("m", p))
			sent[to] = append(sent[to], p)
		}
		p := prompt()
		hashes := x.hash("m", p)
		got := x.match(hashes)
		for to, share := range got {
			most := 0
			for _, old := range sent[to] {
				same := 0
				for same < min(len(old), len(p))/8 && same < 6 && bytes.Equal(old[:(same+1)*8], p[:(same+1)*8]) {
					same++
				}
				most = max(most, same)
			}
			if want := float64(most) / float64(len(hashes)); share > want {
				t.Errorf("%s: %v of %q is said to be there, %v was sent", to, share, p, want)
			}
		}
		total := 0
		for _, c := range x.endpoints {
			if c.size > x.cfg.PerEndpoint {
				t.Errorf("%d pieces are remembered, %d may be", c.size, x.cfg.PerEndpoint)
			}
			total += c.size
		}
		held := 0
		for _, same := range x.blocks {
			held += len(same)
		}
		if held != total {
			t.Errorf("%d blocks, %d in the caches", held, total)
		}
	})
}

// TestDuty has each endpoint read by one replica, by the next when it says nothing, and
// sooner by one that has a request there.
func TestDuty(t *testing.T) {
	const every = 50 * time.Millisecond
	c := &cluster{members: map[string]coordinator.Listener{}}
	var pools []*Pool
	for i := range 4 {
		id := fmt.Sprint("r", i)
		pools = append(pools, newPool(t, Config{Source: Static(specs("a", "b", "c", "d", "e", "f", "g", "h")), Replica: id, Fleet: member{c, id}, Interval: every}))
	}
	heard := time.Now()
	on := func(p *Pool, address string, after time.Duration) bool {
		return (&scraper{pool: p}).onDuty(p.find(address), heard.Add(after), every)
	}
	shares := map[int]int{}
	for _, e := range pools[0].Endpoints() {
		for _, p := range pools {
			p.find(e.address).heard.Store(p.since(heard))
		}
		var order []int
		for after := time.Duration(0); after < 2*time.Second; after += 10 * time.Millisecond {
			for i, p := range pools {
				if on(p, e.address, after) && !slices.Contains(order, i) {
					order = append(order, i)
				}
			}
			if n := len(order); n > 1+int(max(0, after-every)/takeOver) {
				t.Fatalf("%s: %d replicas read it after %v of silence", e.address, n, after)
			}
		}
		if len(order) != 4 {
			t.Errorf("%s: only %v take it over", e.address, order)
		}
		shares[order[0]]++
		second := pools[order[1]]
		second.find(e.address).heard.Store(second.since(heard.Add(time.Second)))
		if on(second, e.address, time.Second+takeOver) || !on(second, e.address, time.Second+every+takeOver+1) {
			t.Errorf("%s: the second does not go by the last reading of another", e.address)
		}
		third := pools[order[2]]
		slot := third.find(e.address).slot(1)
		if on(third, e.address, every+every/2) || !on(third, e.address, 2*every) {
			t.Errorf("%s: with a request there it is not read after two intervals of silence", e.address)
		}
		slot.Return()
	}
	if len(shares) < 3 {
		t.Errorf("eight endpoints are read by %v", shares)
	}
}

// TestReadings reads a server at one replica; the other hears of it.
func TestReadings(t *testing.T) {
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := scrapes.Add(1)
		_, _ = fmt.Fprintf(w, "vllm:num_requests_waiting %d\nvllm:lora_requests_info{running_lora_adapters=\"x,y\",waiting_lora_adapters=\"\",max_lora=\"4\"} 1\n", n)
	}))
	defer server.Close()
	source, err := NewStatic(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{members: map[string]coordinator.Listener{}}
	names := vllmMetrics()
	var pools []*Pool
	for i := range 2 {
		id := fmt.Sprint("r", i)
		pools = append(pools, New(Config{Source: source, Replica: id, Fleet: member{c, id}, Interval: 20 * time.Millisecond, Watch: Watch{Scrape: true}, Metrics: names}))
	}
	deadline := time.After(60 * time.Second)
	for pools[0].Endpoints()[0].Metrics().Waiting < 3 || pools[1].Endpoints()[0].Metrics().Waiting < 3 {
		select {
		case <-deadline:
			t.Fatal("the readings do not reach both replicas")
		case <-time.After(time.Millisecond):
		}
	}
	for _, p := range pools {
		p.Close()
	}
	m := pools[1].Endpoints()[0].Metrics()
	if fmt.Sprint(m.LoadedModels, m.WaitingModels, m.MaxLoadedModels) != "[x y] [] 4" {
		t.Errorf("adapters: %+v", m)
	}
	if s := pools[0].Endpoints()[0].Status(); s.Waiting == nil || *s.Waiting < 3 {
		t.Errorf("status: %+v", s)
	}
}
