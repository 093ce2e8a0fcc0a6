package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// TestFlowLabelsAreCollected sends more flows than have labels of their own, and wants
// room for new ones once the old are idle.
func TestFlowLabelsAreCollected(t *testing.T) {
	m := NewPool("pool")
	for n := range 1500 {
		m.Decided(policies.FlowKey{ID: fmt.Sprint("flow-", n)}, controller.Dispatched, time.Millisecond, "")
	}
	if n := testutil.CollectAndCount(m.waits); n != maxFlowLabels+1 {
		t.Errorf("%d series for 1500 flows, want %d and one for the others", n, maxFlowLabels)
	}
	for id := range m.labels.seen {
		m.labels.seen[id] = time.Now().Add(-labelIdle)
	}
	m.labels.forgot = time.Time{}
	m.Decided(policies.FlowKey{ID: "new"}, controller.Dispatched, time.Millisecond, "")
	if n := testutil.CollectAndCount(m.waits); n != 2 {
		t.Errorf("%d series when all but one flow are idle, want the new one's and the others'", n)
	}
	m.Decided(policies.FlowKey{ID: "flow-1"}, controller.Dispatched, time.Millisecond, "")
	if n := testutil.CollectAndCount(m.waits); n != 3 {
		t.Errorf("%d series when an old flow is back", n)
	}
}

// TestRequestLabelsAreBounded wants what clients make up to fill no memory.
func TestRequestLabelsAreBounded(t *testing.T) {
	m := NewPool("p")
	for i := range 3000 {
		m.Over(&Request{
			Flow: policies.FlowKey{ID: fmt.Sprint("flow-", i)}, Model: fmt.Sprint("model-", i), Arrived: time.Now(), Held: 1, Status: 200,
			Tokens: modelapi.Tokens{Known: true, In: 1, Out: 1, First: time.Now()},
		})
		m.UpstreamFailed(fmt.Sprint("server-", i), Status5xx)
	}
	for name, c := range map[string]struct {
		of   prometheus.Collector
		most int
	}{
		"tokens": {m.requests.tokens, 3 * (maxFlowLabels + 1)}, "slots": {m.requests.slots, maxFlowLabels + 1},
		"duration": {m.requests.duration, maxModelLabels + 1}, "errors": {m.requests.upstream, maxEndpointLabels + 1},
	} {
		if n := testutil.CollectAndCount(c.of); n != c.most {
			t.Errorf("%s: %d series, want %d", name, n, c.most)
		}
	}
	for id := range m.labels.seen {
		m.labels.seen[id] = time.Now().Add(-labelIdle)
	}
	m.labels.forgot = time.Time{}
	m.Over(&Request{Flow: policies.FlowKey{ID: "new"}, Held: 1, Status: 200})
	if n := testutil.CollectAndCount(m.requests.tokens); n != 6 {
		t.Errorf("%d series of tokens once the flows are idle, want those of the new one and of the others", n)
	}
}

// exported returns the names of all metrics, the fleet's own and those of pickers among them.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	pickers, err := picker.New(picker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer pickers.Close()
	descriptions := make(chan *prometheus.Desc, 1000)
	pool := NewPool("p")
	pool.Describe(descriptions)
	NewProcess(pool).Describe(descriptions)
	(&gossip.Fleet{}).Metrics("p").Describe(descriptions)
	pickers.Describe(descriptions)
	close(descriptions)
	names := make(map[string]bool)
	for d := range descriptions {
		names[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	return names
}

// wantExported wants every metric that the text asks for to be exported.
func wantExported(t *testing.T, text string, least int) {
	t.Helper()
	names, asked := exported(t), regexp.MustCompile(`weir_\w+`).FindAllString(text, -1)
	for _, name := range asked {
		if !names[strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")] {
			t.Errorf("%s is asked for and not exported", name)
		}
	}
	if len(asked) < least {
		t.Errorf("%d metrics found, want at least %d", len(asked), least)
	}
}

func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wantExported(t, string(rules), 10)
}

// TestChartsCopies wants the chart's copies of alerts and dashboard, which cannot be anywhere
// else, to be those that are tested. make generate makes them so.
func TestChartsCopies(t *testing.T) {
	for copied, of := range map[string]string{"alerts.yaml": "prometheus/alerts.yaml", "dashboard.json": "grafana/weir.json"} {
		want, err := os.ReadFile("../../deploy/" + of)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../deploy/helm/weir/files/" + copied)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("deploy/helm/weir/files/%s is not deploy/%s (%v): make generate copies it", copied, of, err)
		}
	}
}

// TestAutoscaling wants what autoscalers are told to ask for to be there, and to be queries.
func TestAutoscaling(t *testing.T) {
	var rules []rule
	for _, name := range []string{"keda.yaml", "hpa.yaml"} {
		text, err := os.ReadFile("../../deploy/autoscaling/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)(?:query|metricsQuery): >-\n((?:[# ]+(?:sum|\+).*\n)+)`).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("%s asks for nothing", name)
		}
		query := strings.Join(strings.Fields(strings.ReplaceAll(found[1], "#", "")), " ")
		wantExported(t, query, 2)
		rules = append(rules, rule{fmt.Sprint("rule", len(rules)), query})
	}
	wantQueries(t, rules)
}

// rule is a query as promtool reads it.
type rule struct {
	Record string `json:"record"`
	Expr   string `json:"expr"`
}

// wantQueries has promtool read queries, as rules.
func wantQueries(t *testing.T, rules []rule) {
	t.Helper()
	needs.Tool(t, "promtool")
	file := filepath.Join(t.TempDir(), "rules.yaml") // JSON is YAML
	groups, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err == nil {
		err = os.WriteFile(file, groups, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDashboard wants the dashboard's queries to ask for what there is, and to be
// queries: promtool reads them as rules.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/weir.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, v := range dashboard.Templating.List {
		if v.Name == "datasource" {
			continue
		}
		wantExported(t, string(v.Query), 1)
		if uses := strings.Count(string(text), "$"+v.Name+`\"`); uses < 5 {
			t.Errorf("the variable %s is used in %d queries", v.Name, uses)
		}
	}
	taken := make(map[[2]int]string) // places on the board
	for _, panel := range dashboard.Panels {
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Errorf("panel %q is over %q, or the edge", panel.Title, other)
				}
				taken[at] = panel.Title
			}
		}
	}
	var rules []rule
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q has no query", panel.Title)
		}
		for _, target := range panel.Targets {
			wantExported(t, target.Expr, 1)
			rules = append(rules, rule{fmt.Sprint("rule", len(rules)), strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")})
		}
	}
	if len(rules) < 25 {
		t.Errorf("%d queries found", len(rules))
	}
	wantQueries(t, rules)
}

// TestFairnessLagInGroups measures a flow by what it is compared with, and not by the band.
func TestFairnessLagInGroups(t *testing.T) {
	v := &core.View{
		Bands: []core.BandView{{Priority: 0, VirtualTime: 1000}},
		Flows: []shard.FlowView{
			{Group: "g", Requests: 1, Counter: 5, VirtualTime: 7},
			{Group: "h", Requests: 1, Counter: 30, VirtualTime: 31},
		},
	}
	if lag := fairnessLag(v)[0]; lag != 2 {
		t.Errorf("the flow that is most behind its like lags by %g, want 2", lag)
	}
}
