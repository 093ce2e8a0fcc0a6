package replica

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/internal/build"
)

// metricsHead is what the page of all metrics begins with.
const metricsHead = `# Metrics

All metrics of Weir's own at ` + "`/metrics`" + ` of a replica's admin address, written from their declarations by
` + "`make metrics`" + `. Which to watch is in [operations](operations.md#what-to-watch), with what they are called for
dashboards of llm-d's gateway; alerts are in [deploy/prometheus](../deploy/prometheus/README.md). Beside them
are those of the Go runtime and of the process (` + "`go_*`, `process_*`" + `), and with gossip memberlist's
(` + "`memberlist_*`" + `).

What ends in ` + "`_total`" + ` counts since the replica began. Seconds, bytes and slots are in the names. Where a
group has no priority, or a priority no group, that label is empty.
`

// TestMetricsPage holds docs/metrics.md against what is registered; WEIR_REWRITE=1 writes it.
func TestMetricsPage(t *testing.T) {
	pickers, err := picker.New(picker.Config{Addresses: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer pickers.Close()
	var out strings.Builder
	out.WriteString(metricsHead)
	section(&out, "Of a pool", "Each has the label `inference_pool`, the pool's name.", metrics.NewPool("p"))
	section(&out, "Of a replica", "Where it has one pool alone, they have its label `inference_pool`; requests that found no pool have an empty one.", metrics.NewProcess(nil), buildInfo(build.Read()))
	section(&out, "Of a replica that gossips", "", (&gossip.Fleet{}).Metrics("p"))
	section(&out, "In shadow", "See [moving in](moving-in.md#try-it-beside-what-runs).", shadow.New(nil, nil))
	section(&out, "Of another Endpoint Picker", "See [moving in](moving-in.md).", pickers)
	const file = "../docs/metrics.md"
	want, err := os.ReadFile(file)
	if err == nil && string(want) == out.String() {
		return
	}
	if os.Getenv("WEIR_REWRITE") != "" {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what is registered: make metrics (%v)", file, err)
}

// described reads what a metric says of itself.
var described = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), unit: "[^"]*", constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}\}$`)

// section writes the metrics of some collectors, in the order of their names.
func section(out *strings.Builder, title, about string, of ...prometheus.Collector) {
	var rows []string
	for _, c := range of {
		all := make(chan *prometheus.Desc)
		go func() {
			defer close(all)
			c.Describe(all)
		}()
		for d := range all {
			m := described.FindStringSubmatch(d.String())
			if m == nil {
				panic("cannot read " + d.String())
			}
			name, _ := strconv.Unquote(m[1])
			help, _ := strconv.Unquote(m[2])
			labels := ""
			if m[3] != "" {
				labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", name, labels, strings.ReplaceAll(help, "|", `\|`)))
		}
	}
	slices.Sort(rows)
	fmt.Fprintf(out, "\n## %s\n", title)
	if about != "" {
		fmt.Fprintf(out, "\n%s\n", about)
	}
	fmt.Fprintf(out, "\n| metric | labels | |\n| --- | --- | --- |\n%s", strings.Join(slices.Compact(rows), ""))
}
