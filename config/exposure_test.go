package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// TestExposure refuses to listen for replicas beyond this machine without a proof of who
// they are, in words that say what to set.
func TestExposure(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZg=="), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		flags map[string]string
		want  string
	}{
		"loopback":         {map[string]string{"gossip": "127.0.0.1:1", "peer": "[::1]:1"}, ""},
		"its name":         {map[string]string{"gossip": "localhost:1"}, ""},
		"no gossip":        {map[string]string{"peer": "10.0.0.1:1"}, ""},
		"an address":       {map[string]string{"gossip": "10.0.0.1:1"}, "--gossip \"10.0.0.1:1\": whoever reaches it could join the fleet: give all replicas the same --gossip-key-file, or say --insecure-fleet"},
		"all addresses":    {map[string]string{"gossip": ":1"}, "whoever reaches it could join the fleet"},
		"the ticket port":  {map[string]string{"gossip": "127.0.0.1:1", "peer": "0.0.0.0:1"}, "--peer \"0.0.0.0:1\": whoever reaches it could pose as a replica: give all replicas the same --gossip-key-file, or each its own --peer-cert, or say --insecure-fleet"},
		"with the key":     {map[string]string{"gossip": ":1", "peer": ":2", "gossip-key-file": key, "advertise": "10.0.0.1"}, ""},
		"if one insists":   {map[string]string{"gossip": ":1", "peer": ":2", "insecure-fleet": "true", "advertise": "10.0.0.1"}, ""},
		"not if one doesn": {map[string]string{"gossip": ":1", "insecure-fleet": "false"}, "whoever reaches it could join the fleet"},
	} {
		flags := map[string][]string{"upstream": {"http://127.0.0.1:8000"}, "redis": {"redis://127.0.0.1"}}
		for flag, value := range tc.flags {
			flags[flag] = []string{value}
		}
		_, _, err := Load("", Options{Registry: builtin.Registry(), Flags: flags})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want words with %q", name, err, tc.want)
		}
	}
}
