package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKindExamples has the API server take what deploy/kind/run applies.
func TestKindExamples(t *testing.T) {
	c := startCluster(t)
	c.namespace("kind")
	manifests := run(t, "", filepath.Join(c.dir, "helm"), "template", "weir", chart, "--namespace", "kind", "--values", "../../deploy/kind/values.yaml", "--kubeconfig", c.kubeconfig(admin), "--validate")
	taken := 0
	for _, file := range []string{"modelservers.yaml", "load.yaml"} {
		text, err := os.ReadFile("../../deploy/kind/" + file)
		if err != nil {
			t.Fatal(err)
		}
		taken += strings.Count(c.kubectl(string(text), "--namespace", "kind", "apply", "--dry-run=server", "-f", "-"), "created (server dry run)")
	}
	if out := c.kubectl(manifests, "apply", "--dry-run=server", "-f", "-"); taken != 3 || strings.Count(out, "created (server dry run)") < 8 {
		t.Errorf("%d objects of kind's and of the chart's\n%s", taken, out)
	}
}

// TestGatewayExamples has the API server take the examples of deploy/gateway and
// deploy/autoscaling.
func TestGatewayExamples(t *testing.T) {
	c := startCluster(t)
	c.namespace("inference")
	for _, pattern := range []string{"gateway/*.yaml", "autoscaling/*.yaml"} {
		files, err := filepath.Glob("../../deploy/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			objects := strings.Count("\n"+string(text), "\nkind: ")
			out := c.kubectl(string(text), "apply", "--dry-run=server", "-f", "-")
			if n := strings.Count(out, "created (server dry run)"); n != objects || n == 0 {
				t.Errorf("%s: %d of %d objects taken:\n%s", file, n, objects, out)
			}
		}
	}
}
