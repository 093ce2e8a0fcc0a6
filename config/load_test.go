package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestFlagsOverride wants a flag to replace what the file says at its path, and nothing
// else, and each problem to be named as it was given.
func TestFlagsOverride(t *testing.T) {
	file := write(t, "weir.yaml", config.Empty+`
flowControl: {noEndpointRequestTTL: 1s, defaultPriorityBand: {maxRequests: 7}}
weir:
  discovery: {dns: "vllm.default.svc:8000", dnsInterval: 1s}
  fleet: {join: ["a:1", "b:2"]}
  store: {lease: 9s, redis: "redis://h"}
`)
	o := withServer()
	for name, value := range map[string]string{
		"fairness": fairness.VTCType, "request-ttl": "5s", "max-concurrency": "3", "gossip": "127.0.0.1:0", "max-body": "1Mi",
	} {
		o.Flags[name] = []string{value}
	}
	o.Flags["join"] = []string{"c:3"}
	plan, warnings, err := config.Load(file, o)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	w, fc := &plan.File.Weir, &plan.File.FlowControl
	if len(w.Endpoints) != 1 || w.Discovery.DNS != "" || w.Discovery.DNSInterval.String() != "1s" {
		t.Errorf("endpoints %v, discovery %+v; want the flag's endpoint, and the file's interval", w.Endpoints, w.Discovery)
	}
	if band := fc.DefaultPriorityBand; band.FairnessPolicyRef != fairness.VTCType || band.MaxRequests != 7 {
		t.Errorf("default band %+v; want the flag's policy and the file's limit", band)
	}
	if fc.DefaultRequestTTL.String() != "5s" || fc.NoEndpointRequestTTL.String() != "5s" {
		t.Errorf("requests wait for %v, without endpoints for %v; want 5s", fc.DefaultRequestTTL, fc.NoEndpointRequestTTL)
	}
	if strings.Join(w.Fleet.Join, " ") != "c:3" || w.MaxBody != 1<<20 || w.Store.Lease.String() != "9s" {
		t.Errorf("join %v, largest body %v, lease %v", w.Fleet.Join, w.MaxBody, w.Store.Lease)
	}
	if got := plan.Detector.TypedName().Type; got != saturation.ConcurrencyType {
		t.Errorf("detector %s", got)
	}

	o.Flags["max-body"], o.Flags["fairness"] = []string{"0"}, []string{"vct"}
	bad := write(t, "bad.yaml", config.Empty+"weir:\n  store: {redis: 'redis://h', lease: 1ms}\n")
	_, _, err = config.Load(bad, o)
	want := `--fairness "vct": no such fairness policy; did you mean "vtc-fairness-policy"?
--max-body "0": must be from 1 to 1Gi
` + bad + `:4: weir.store.lease "1ms": must be from 100ms to 1h`
	if err == nil || err.Error() != want {
		t.Errorf("problems:\n%v\nwant:\n%s", err, want)
	}
}

// TestWithoutFile wants tenants to be kept apart, and nothing to be asked of the model
// servers but to answer.
func TestWithoutFile(t *testing.T) {
	plan, warnings, err := config.Load("", withServer())
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got := plan.Default.Fairness.TypedName().Type; got != fairness.RoundRobinType {
		t.Errorf("fairness policy %s", got)
	}
	if got := plan.Detector.TypedName().Type; got != saturation.ConcurrencyType {
		t.Errorf("detector %s", got)
	}
}

// TestSecretsOfEverybody wants a warning of a secret that everybody can read or change.
func TestSecretsOfEverybody(t *testing.T) {
	keys, password := write(t, "keys.yaml", "[]"), write(t, "password", "secret")
	file := write(t, "weir.yaml", config.Empty+`
flowControl: {defaultPriorityBand: {fairnessPolicyRef: vtc-fairness-policy}}
weir:
  endpoints: [{url: "http://a:1"}]
  store: {redis: "redis://h", passwordFile: `+password+`}
  identity: {apiKeys: `+keys+`}
`)
	load := func() string {
		t.Helper()
		_, warnings, err := config.Load(file, config.Options{Registry: builtin.Registry()})
		if err != nil {
			t.Fatal(err)
		}
		return warnings.Error()
	}
	if got := load(); got != "" {
		t.Errorf("warnings of files for their owner only:\n%s", got)
	}
	for file, mode := range map[string]os.FileMode{keys: 0o644, password: 0o622} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	want := file + `:7: weir.store.passwordFile "` + password + `": everybody on this machine can change it (mode 0622); chmod 600
` + file + `:8: weir.identity.apiKeys "` + keys + `": everybody on this machine can read it (mode 0644); chmod 600`
	if got := load(); got != want {
		t.Errorf("warnings:\n%s\nwant:\n%s", got, want)
	}
}

// TestNamedFiles wants files that are not there, or do not fit, to be found.
func TestNamedFiles(t *testing.T) {
	keys := write(t, "keys.yaml", "- {sha256: sk-secret, flow: a}\n")
	file := write(t, "weir.yaml", config.Empty+`
flowControl: {defaultPriorityBand: {fairnessPolicyRef: vtc-fairness-policy}}
weir:
  endpoints: [{url: "http://a:1"}, {url: "http://a:1"}]
  extProc: {listen: ":1", cert: /no/cert, key: /no/key}
  store: {redis: "redis://h", passwordFile: /no/password}
  fleet: {gossipKeyFile: /no/gossip, peerCert: `+keys+`, peerKey: `+keys+`, peerCA: /no/ca}
  flows: [{id: a}, {id: a}]
  identity: {apiKeys: `+keys+`}
`)
	o := config.Options{Registry: builtin.Registry()}
	_, _, err := config.Load(file, o)
	want := strings.NewReplacer("FILE", file, "KEYS", keys).Replace(`FILE:6: weir.endpoints[1].url "http://a:1": this model server is named above
FILE:7: weir.extProc.cert "/no/cert": no such file or directory
FILE:7: weir.extProc.key "/no/key": no such file or directory
FILE:8: weir.store.passwordFile "/no/password": no such file or directory
FILE:9: weir.fleet.gossipKeyFile "/no/gossip": no such file or directory
FILE:9: weir.fleet.peerCert "KEYS": tls: failed to find any PEM data in certificate input
FILE:9: weir.fleet.peerCA "/no/ca": no such file or directory
FILE:10: weir.flows[1].id "a": is listed above: the first one holds
KEYS:1: [0].sha256: must be the SHA-256 of the key in 64 hexadecimal digits, as by: printf %s KEY | sha256sum`)
	if err == nil || err.Error() != want {
		t.Errorf("problems:\n%v\nwant:\n%s", err, want)
	}
	o.IgnoreFiles = true
	if _, _, err := config.Load(file, o); err == nil || strings.Contains(err.Error(), "/no/") || strings.Contains(err.Error(), keys) {
		t.Errorf("without looking at files: %v", err)
	}
}
