package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/test/processes"
)

// dashboardVariable names a file to draw the dashboard's panels in, as HTML.
const dashboardVariable = "WEIR_DASHBOARD"

// TestPanels has a real Prometheus scrape three replicas under load, and wants every query of
// the dashboard to be answered with what its panel is there for.
func TestPanels(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	t.Parallel() // it mostly waits
	needs.Tool(t, "prometheus")
	config := processes.NewConfiguration(t)
	config.Write(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 12}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, maxRequests: 40}
weir:
  flows: [{id: one-b, priority: -10}, {id: two-a, maxInFlight: 2, overLimit: reject}]
  bands: [{priority: -10, guaranteed: 10%}]
`)
	c := processes.NewCluster(t)
	for n := range 3 {
		c.Add(fmt.Sprint("r", n+1), "--config", config.File)
	}
	c.Wait("everybody knows everybody", 20*time.Second, func() bool { return c.Agree(3) })
	p := startPrometheus(t, c.Replicas)
	c.Uneven()
	var panels []panel
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		panels = p.panels()
		var empty []string
		for _, panel := range panels {
			if panel.empty() {
				empty = append(empty, panel.Title)
			}
		}
		if len(empty) == 0 {
			break
		}
		if time.Now().After(until) {
			t.Errorf("these panels show nothing: %q", empty)
			break
		}
	}
	inUse := 0.0
	for _, panel := range panels {
		if panel.Title == "Limit in use" && !panel.empty() {
			inUse = panel.Lines[0].Last()
		}
	}
	if inUse < 0.8 || inUse > 1 {
		t.Errorf("the panel of the limit in use shows %v, under load it is nearly 1", inUse)
	}
	if file := os.Getenv(dashboardVariable); file != "" {
		draw(t, file, panels)
	}
}

// prometheus is one that scrapes replicas.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, replicas []*processes.Replica) *prometheus {
	t.Helper()
	dir := t.TempDir()
	var targets []string
	for _, r := range replicas {
		targets = append(targets, strconv.Quote(strings.TrimPrefix(r.Admin, "http://")))
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms}\nscrape_configs:\n- job_name: weir\n  static_configs: [{targets: [%s]}]\n", strings.Join(targets, ", "))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freeport.Address(t) // it cannot be told to choose a port and say which
	cmd := exec.Command("prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at, "--log.level", "warn")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := &prometheus{t: t, url: "http://" + at}
	processes.Answers(t, p.url+"/-/ready")
	return p
}

// panel is one of the dashboard's, with what its queries give.
type panel struct {
	Title, Type string
	Targets     []struct{ Expr, LegendFormat string }
	Lines       []line `json:"-"`
}

func (p *panel) empty() bool { return len(p.Lines) == 0 }

// line is one series over time.
type line struct {
	Name   string
	Values []float64
}

func (l line) Last() float64 { return l.Values[len(l.Values)-1] }

// panels are those of the dashboard, over the last 20 s.
func (p *prometheus) panels() (all []panel) {
	p.t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/weir.json")
	if err != nil {
		p.t.Fatal(err)
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		p.t.Fatal(err)
	}
	variables := strings.NewReplacer("$pool", "default", "$tenant", ".*", "$replica", ".*", "$__rate_interval", "4s")
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		for _, target := range panel.Targets {
			panel.Lines = append(panel.Lines, p.ask(panel.Title, variables.Replace(target.Expr), target.LegendFormat)...)
		}
		all = append(all, panel)
	}
	return all
}

// ask returns what a query gives over the last 20 s.
func (p *prometheus) ask(title, query, legend string) (lines []line) {
	p.t.Helper()
	now := time.Now()
	ctx, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	values := url.Values{
		"query": {query}, "step": {"500ms"},
		"start": {strconv.FormatInt(now.Add(-20*time.Second).Unix(), 10)}, "end": {strconv.FormatInt(now.Unix(), 10)},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/query_range?"+values.Encode(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("panel %q: %v %s", title, err, answer.Error)
	}
	for _, series := range answer.Data.Result {
		l := line{Name: legend}
		for label, value := range series.Metric {
			l.Name = strings.ReplaceAll(l.Name, "{{"+label+"}}", value)
		}
		for _, at := range series.Values {
			value, err := strconv.ParseFloat(fmt.Sprint(at[1]), 64)
			if err != nil {
				p.t.Fatalf("panel %q: %v", title, err)
			}
			l.Values = append(l.Values, value)
		}
		lines = append(lines, l)
	}
	return lines
}

// draw writes a page of the panels.
func draw(t *testing.T, file string, panels []panel) {
	t.Helper()
	page := template.Must(template.New("").Funcs(template.FuncMap{"points": points, "number": func(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }}).Parse(`<!doctype html>
<meta charset="utf-8"><title>The dashboard's panels</title>
<style>body{font:13px sans-serif;display:grid;grid-template-columns:repeat(3,1fr);gap:12px}
section{border:1px solid #ccc;padding:8px}h2{font-size:14px;margin:0}svg{width:100%;height:110px;background:#f7f7f7}polyline{fill:none;stroke:#36c;stroke-width:1}</style>
{{range .}}<section><h2>{{.Title}}</h2>{{if .Lines}}<svg viewBox="0 0 400 100" preserveAspectRatio="none">
{{$panel := .}}{{range .Lines}}<polyline points="{{points $panel .}}"/>{{end}}</svg>{{end}}
<div>{{range .Lines}}{{.Name}} {{number .Last}} · {{else}}nothing{{end}}</div></section>{{end}}`))
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // Execute's error says whether it was written
	if err := page.Execute(f, panels); err != nil {
		t.Fatal(err)
	}
}

// points are a line's in a panel of 400 by 100, from zero up to the panel's largest value.
func points(p panel, l line) string {
	top := 0.0
	for _, l := range p.Lines {
		for _, v := range l.Values {
			top = max(top, v)
		}
	}
	var text strings.Builder
	for i, v := range l.Values {
		fmt.Fprintf(&text, "%.1f,%.1f ", 400*float64(i)/float64(max(1, len(l.Values)-1)), 100-98*v/max(top, 1e-9))
	}
	return text.String()
}
