package processes

import (
	"os"
	"path/filepath"
	"testing"
)

// Configuration is a file that replicas are started with and that is changed while they run.
type Configuration struct {
	File string

	t *testing.T
}

// NewConfiguration returns a file of the test's own, which is not there yet.
func NewConfiguration(t *testing.T) *Configuration {
	t.Helper()
	return &Configuration{t: t, File: filepath.Join(t.TempDir(), "weir.yaml")}
}

// Write replaces what the file says, below its kind.
func (c *Configuration) Write(text string) {
	c.t.Helper()
	whole := "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n" + text
	if err := os.WriteFile(c.File, []byte(whole), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// reloaded is what a replica logs that has read its file again.
const reloaded = `"msg":"configuration reloaded"`

// Reload writes the file, and waits until the replicas have read it.
func (c *Configuration) Reload(text string, replicas ...*Replica) {
	c.t.Helper()
	before := make([]int, len(replicas))
	for i, r := range replicas {
		before[i] = r.Said(reloaded)
	}
	c.Write(text)
	f := &Cluster{T: c.t}
	for i, r := range replicas {
		f.Wait(r.ID+" has read the configuration again", Patience, func() bool { return r.Said(reloaded) > before[i] })
	}
}
