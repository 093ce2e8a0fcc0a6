package endpoints

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told hears which endpoints can be used, by their addresses.
type told chan string

func (c told) changed(usable []policies.EndpointAccessor) {
	var all []string
	for _, e := range usable {
		all = append(all, e.Address())
	}
	c <- strings.Join(all, " ")
}

func (c told) want(t *testing.T, want string) {
	t.Helper()
	if got := <-c; got != want {
		t.Errorf("usable: %q, want %q", got, want)
	}
}

// manual is a source that is told what to say.
type manual chan []Spec

func (m manual) Run(ctx context.Context, update func([]Spec)) error {
	for {
		select {
		case specs := <-m:
			update(specs)
		case <-ctx.Done():
			return nil
		}
	}
}

// specs are endpoints on port 80 of hosts.
func specs(hosts ...string) (list []Spec) {
	for _, h := range hosts {
		list = append(list, At("", "http", h, "80"))
	}
	return list
}

func newPool(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p := New(cfg)
	t.Cleanup(p.Close)
	return p
}

// TestUpdate lets endpoints come and go: who stays keeps what it has, who goes
// finishes it.
func TestUpdate(t *testing.T) {
	source, changes := make(manual), make(told, 10)
	p := newPool(t, Config{Source: source, Changed: changes.changed})
	source <- specs("b", "a", "a")
	changes.want(t, "a:80 b:80")
	slot, _ := p.Take(&Query{Subset: map[string]bool{"a:80": true}})
	other, _ := p.Take(&Query{})
	if slot.Address() != "a:80" || other.Address() != "b:80" {
		t.Fatalf("went to %s and %s", slot.Address(), other.Address())
	}
	source <- specs("b", "c")
	changes.want(t, "b:80 c:80")
	if b := p.find("b:80"); b != other.Endpoint || b.InFlight() != 1 {
		t.Error("b lost its request")
	}
	if next, _ := p.Take(&Query{}); next.Address() != "c:80" {
		t.Errorf("went to %s while c was idle", next.Address())
	}
	source <- specs("a", "b", "c")
	changes.want(t, "a:80 b:80 c:80")
	if n := p.find("a:80").InFlight(); n != 1 {
		t.Errorf("a is back and has %d in flight, one has been there all the time", n)
	}
	slot.Return()
	slot.Return() // does nothing
	if n := slot.InFlight(); n != 0 {
		t.Errorf("%d in flight at a", n)
	}
	source <- nil
	changes.want(t, "")
	if none, others := p.Take(&Query{}); none != nil || others != nil {
		t.Errorf("went to %v of no endpoints", none)
	}
}

// TestLeastLoaded goes by what the ledger said at the grant where that is newer than
// what is known of the other replicas.
func TestLeastLoaded(t *testing.T) {
	known := map[string]store.Load{"a:80": {InFlight: 3, Tokens: 7}, "b:80": {InFlight: 1}, "c:80": {InFlight: 2}}
	p := newPool(t, Config{Source: Static(specs("a", "b", "c")), Others: func() map[string]store.Load { return known }})
	for _, c := range []struct {
		least store.Load
		want  string
	}{
		{store.Load{}, "b:80"},
		{store.Load{Endpoint: "a:80", InFlight: 0}, "a:80"}, // all that a had have ended
		{store.Load{Endpoint: "c:80", InFlight: 4}, "c:80"}, // nobody has fewer than 4
		{store.Load{Endpoint: "b:80", InFlight: 2}, "b:80"},
		{store.Load{Endpoint: "gone:80", InFlight: 9}, "any"},
	} {
		slot, others := p.Take(&Query{Granted: c.least, Fallbacks: 5})
		if slot.Address() != c.want && c.want != "any" {
			t.Errorf("least loaded %+v: went to %s, want %s", c.least, slot.Address(), c.want)
		}
		if len(others) != 2 || slices.Contains(others, slot.Endpoint) {
			t.Errorf("named to turn to: %v", others)
		}
		slot.Return()
	}
	if slot, _ := p.Take(&Query{Granted: store.Load{Endpoint: "a:80"}, Subset: map[string]bool{"b": true, "c:80": true}}); slot.Address() != "b:80" {
		t.Errorf("with a excluded: %s", slot.Address())
	}
}

// alphabetical is a scorer that likes addresses early in the alphabet.
type alphabetical struct{ policies.Named }

func (alphabetical) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = 1 / float64(e.Address()[0])
	}
}

// TestOnlyWhereThereIsRoom has a request go where it suits best if it may, and else to the
// endpoint that it was granted for, or, where that is none to choose from, to another.
func TestOnlyWhereThereIsRoom(t *testing.T) {
	profile := LeastLoaded()
	profile.Scorers = []Weighted{{alphabetical{policies.NewNamed("alphabetical", "")}, 1}}
	p := newPool(t, Config{Source: Static(specs("a", "b", "c")), Profile: profile})
	for _, c := range []struct {
		may, granted, tried, want string
		asked                     string
	}{
		{may: "a:80", granted: "c:80", want: "a:80", asked: "a:80"},
		{may: "", granted: "c:80", want: "c:80", asked: "a:80"},
		{may: "c:80", granted: "a:80", tried: "a:80", want: "c:80", asked: "b:80 c:80"},
		{may: "", granted: "a:80", tried: "a:80", want: "b:80", asked: "b:80 c:80"},
	} {
		var asked []string
		q := &Query{Granted: store.Load{Endpoint: c.granted}, Fallbacks: 2, May: func(address string) bool {
			asked = append(asked, address)
			return address == c.may
		}}
		if c.tried != "" {
			q.Tried = []*Endpoint{p.At(c.tried)}
		}
		slot, others := p.Take(q)
		if slot.Address() != c.want || strings.Join(asked, " ") != c.asked {
			t.Errorf("%+v: went to %s, asked %v", c, slot.Address(), asked)
		}
		if len(others) != 2-len(q.Tried) || slices.Contains(others, slot.Endpoint) {
			t.Errorf("%+v: named to turn to: %v", c, others)
		}
		slot.Return()
	}
}

// likes is a filter and a scorer by affinity: it likes some endpoints, for what a request is
// of.
type likes struct {
	policies.Named
	some map[string]string // by the request's model
}

func (l likes) Score(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		if scores[i] = 0; l.some[r.Model()] == e.Address() {
			scores[i] = 1
		}
	}
}

func (l likes) Keep(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, keep []bool) {
	for i, e := range endpoints {
		keep[i] = l.some[r.Model()] == "" || l.some[r.Model()] == e.Address()
	}
}

func (likes) KnowsAffinity() bool { return true }

// TestPrefer states an endpoint where it suits the request by more than how busy endpoints
// are, and has it go there if it was granted for that one.
func TestPrefer(t *testing.T) {
	busy := map[string]store.Load{"a:80": {InFlight: 9}, "b:80": {InFlight: 2}, "c:80": {InFlight: 1}}
	l := likes{policies.NewNamed("likes", ""), map[string]string{"at-a": "a:80", "at-b": "b:80", "gone": "gone:80"}}
	profile := func(weight float64, filters ...policies.EndpointFilter) Profile {
		p := LeastLoaded()
		p.Filters = filters
		if weight > 0 {
			p.Scorers = append(p.Scorers, Weighted{l, weight})
		}
		return p
	}
	for _, c := range []struct {
		what    string
		profile Profile
		query   Query
		want    string
	}{
		{"only loads are known", profile(0), Query{Model: "at-a"}, ""},
		{"it belongs to one", profile(3), Query{Model: "at-a"}, "a:80"},
		{"it belongs to none", profile(3), Query{Model: "another"}, ""},
		{"it belongs to one that is not there", profile(3), Query{Model: "gone"}, ""},
		{"the one that it belongs to is too busy", profile(0.5), Query{Model: "at-a"}, ""},
		{"a filter keeps one", profile(0, l), Query{Model: "at-b"}, "b:80"},
		{"a filter keeps all", profile(0, l), Query{Model: "another"}, ""},
		{"a filter keeps none", profile(0, l), Query{Model: "gone"}, ""},
		{"it may go to some", profile(0), Query{Subset: map[string]bool{"a:80": true, "b": true}}, "b:80"},
		{"it may go to all", profile(0), Query{Subset: map[string]bool{"a": true, "b": true, "c": true}}, ""},
	} {
		p := newPool(t, Config{Source: Static(specs("a", "b", "c")), Profile: c.profile, Others: func() map[string]store.Load { return busy }})
		if got := p.Prefer(&c.query); got != c.want {
			t.Errorf("%s: %q is preferred, want %q", c.what, got, c.want)
		}
	}
	if one := newPool(t, Config{Source: Static(specs("a")), Profile: profile(3)}); one.Prefer(&Query{Model: "at-a"}) != "" {
		t.Error("of one endpoint one is preferred")
	}

	p := newPool(t, Config{Source: Static(specs("a", "b", "c")), Profile: profile(3), Others: func() map[string]store.Load { return busy }})
	granted := Query{
		Model: "at-a", Granted: store.Load{Endpoint: "a:80", InFlight: 10}, Preferred: true, Fallbacks: 1,
		May: func(address string) bool { t.Errorf("asked for %s", address); return false },
	}
	slot, others := p.Take(&granted)
	if slot.Address() != "a:80" || len(others) != 1 || others[0].Address() != "c:80" { // c has 1, and not 10
		t.Errorf("granted for what it prefers, it goes to %s, then %v", slot.Address(), others)
	}
	slot.Return()
	p.Drain(map[string]bool{"a:80": true})
	granted.May = func(address string) bool { return address == "b:80" }
	if slot, _ = p.Take(&granted); slot.Address() != "b:80" {
		t.Errorf("once that is drained, it goes to %s", slot.Address())
	}
}

// odd is a filter by the length of names, and a scorer that hears what was picked.
type odd struct {
	policies.Named
	picked []string
}

func (o *odd) Keep(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, keep []bool) {
	for i, e := range endpoints {
		keep[i] = len(e.Address())%2 == 0 && e.(policies.Labelled).Labels()["no"] == ""
	}
}

func (o *odd) Score(_ policies.SchedulingRequest, _ []policies.EndpointAccessor, scores []float64) {
	clear(scores)
}

func (o *odd) Picked(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, i int) {
	o.picked = append(o.picked, endpoints[i].Address())
}

// TestFilters wants requests only where the filters keep endpoints, also for another try, and
// the scorers to learn where they went.
func TestFilters(t *testing.T) {
	all := specs("a", "bb", "c", "dd") // of which a and c have an even address
	all[2].Labels = map[string]string{"no": "thing"}
	profile, o := LeastLoaded(), &odd{Named: policies.NewNamed("odd", "")}
	profile.Filters, profile.Scorers = []policies.EndpointFilter{o}, append(profile.Scorers, Weighted{o, 1})
	p := newPool(t, Config{Source: Static(all), Profile: profile})
	for range 3 {
		slot, others := p.Take(&Query{Fallbacks: 3})
		if slot == nil || slot.Address() != "a:80" || len(others) > 0 {
			t.Fatalf("%v, %v; want the one that is kept", slot, others)
		}
	}
	if slot, _ := p.Take(&Query{Tried: []*Endpoint{p.At("a:80")}}); slot != nil {
		t.Errorf("%s was picked, which the filter leaves out", slot.Address())
	}
	if !slices.Equal(o.picked, []string{"a:80", "a:80", "a:80"}) {
		t.Errorf("the scorer heard of %v", o.picked)
	}
}

// TestEjection takes an endpoint out when a connection fails, probes it, and lets one
// request at a time try it until it answers.
func TestEjection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	url, err := ParseURL("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	changes := make(told, 10)
	p := newPool(t, Config{Source: Static{{URL: url}, At("", "http", "other", "80")}, Changed: changes.changed})
	both := fmt.Sprintf("%s other:80", address)
	changes.want(t, both)
	only := map[string]bool{address: true}
	slot, _ := p.Take(&Query{Subset: only})
	slot.Unreachable(errors.New("connection refused"))
	changes.want(t, "other:80")
	if slot, _ := p.Take(&Query{Subset: only}); slot != nil {
		t.Error("went to an ejected endpoint")
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	changes.want(t, both)

	first, _ := p.Take(&Query{Subset: only})
	for range 3 {
		if next, _ := p.Take(&Query{}); next.Address() != "other:80" {
			t.Errorf("a second request goes to %s, which is half open", next.Address())
		}
	}
	if next, _ := p.Take(&Query{Subset: only}); next == nil {
		t.Error("a request that may only go there must not be refused")
	} else {
		next.Return()
	}
	first.Answered()
	if next, _ := p.Take(&Query{}); next.Address() != address {
		t.Errorf("once it answered, the next goes to %s", next.Address())
	}
}

func TestParseURL(t *testing.T) {
	for _, raw := range []string{"", "localhost:8000", "ftp://a", "http://", "http://:80", "http://a/v1", "http://a?b", "http://user:secret@a"} {
		_, err := ParseURL(raw)
		if !errors.Is(err, ErrSpec) {
			t.Errorf("%q: %v", raw, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the password", raw)
		}
	}
	for raw, want := range map[string]string{"http://a": "a:80", "https://a": "a:443", "http://[::1]:9": "[::1]:9"} {
		u, err := ParseURL(raw)
		if s := (&Spec{URL: u}); err != nil || s.Address() != want {
			t.Errorf("%q: %v, %v", raw, s, err)
		}
	}
	if _, err := NewStatic("http://a", "http://a"); !errors.Is(err, ErrSpec) {
		t.Errorf("twice the same: %v", err)
	}
}
