package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/internal/demo"
	"github.com/weirflow/weir/policies/builtin"
)

// run runs the command line for at most the time given and returns what it
// printed and how it ended.
func run(t *testing.T, most time.Duration, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	var out bytes.Buffer
	root := newRoot(builtin.Registry())
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func TestBadFlags(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	taken := l.Addr().String()
	serve := slices.Clip([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "error"})
	good := slices.Clip(append(serve, "--upstream", "http://127.0.0.1:1"))
	for _, c := range []struct {
		args []string
		says string // what the error must name
	}{
		{serve, "--upstream: name at least one model server, such as http://127.0.0.1:8000, or where they come from: --endpoints-file,"},
		{append(serve, "--upstream", "localhost:8000"), `--upstream "localhost:8000": give a URL such as http://127.0.0.1:8000`},
		{append(serve, "--upstream", "http://a/path"), `--upstream "http://a/path": give scheme, host and port only`},
		{append(good, "--upstream", "http://127.0.0.1:1"), `--upstream "http://127.0.0.1:1": this model server is named above`},
		{append(good, "--endpoints-dns", "a:1"), "--upstream: endpoints come from one place: keep one of --endpoints-dns, --upstream"},
		{append(serve, "--endpoints-dns", "a"), `--endpoints-dns "a": give a host name and a port`},
		{append(serve, "--endpoints-file", "/no/such"), `--endpoints-file "/no/such": no such file`},
		{append(serve, "--inference-pool", "a"), `--inference-pool "a": must be NAMESPACE/NAME`},
		{append(good, "--max-concurrency", "-3"), `--max-concurrency "-3": must be from 1 to 1000000`},
		{append(good, "--max-concurrency", "many"), `--max-concurrency "many": must be a whole number`},
		{append(good, "--fairness", "round-robin"), `--fairness "round-robin": no such fairness policy; did you mean "round-robin-fairness-policy"?`},
		{append(good, "--fairness", "nobody"), `--fairness "nobody": no such fairness policy; there are: global-strict-fairness-policy, `},
		{append(good, "--fairness", "fcfs-ordering-policy"), `--fairness "fcfs-ordering-policy": is no fairness policy; there are: global-`},
		{append(good, "--request-ttl", "-1s"), `--request-ttl "-1s": must not be negative`},
		{append(good, "--request-ttl", "60"), `--request-ttl "60": must be a time with its unit, such as 60s`},
		{append(good, "--max-body", "0"), `--max-body "0": must be from 1 to 1Gi`},
		{append(good, "--max-queued", "many"), `--max-queued "many": must be a number such as 500, 1k`},
		{append(good, "--replica-id", "a b"), `--replica-id "a b": must have 1 to 128 characters`},
		{append(good, "--replica-id", ""), `--replica-id: must have 1 to 128 characters`},
		{append(good, "--pool", ""), `--pool: must have 1 to 128 characters`},
		{append(good, "--on-store-outage", "stop"), `--on-store-outage "stop": must be share or hold`},
		{append(good, "--lease", "1ms"), `--lease "1ms": must be from 100ms to 1h`},
		{append(good, "--gossip", "127.0.0.1:0"), "--gossip \"127.0.0.1:0\": replicas of a fleet share a ledger: give all of them the same --redis"},
		{append(good, "--join", "127.0.0.1:1"), "--join: give this replica an address by --gossip, too"},
		{append(good, "--advertise", "here"), `--advertise "here": must be an IP address`},
		{append(good, "--peer-cert", "c.pem"), `--peer-cert "c.pem": give its key by --peer-key, too`},
		{append(good, "--ext-proc-key", "k.pem"), `--ext-proc-key "k.pem": give its certificate by --ext-proc-cert, too`},
		{append(good, "--tls-cert", "c.pem"), `--tls-cert "c.pem": give its key by --tls-key, too`},
		{append(good, "--redis", "redis://h", "--redis-ca", "/dev/null"), `--redis-ca "/dev/null": is for TLS: --redis must begin with rediss://`},
		{append(good, "--redis", "localhost:6379"), `--redis "localhost:6379": redis URL: want redis://[user@]host:port`},
		{append(good, "--redis", "redis://me:hunter2@h"), `--redis "redis://me:xxxxx@h": must hold no password: use --redis-password-file`},
		{append(good, "--redis-password-file", "/no/such"), `--redis-password-file "/no/such": no such file`},
		{append(good, "--listen", "8080"), `--listen "8080": must be a host and a port, such as 127.0.0.1:8080`},
		{append(good, "--listen", ":99999"), `--listen ":99999": the port must be from 0 to 65535`},
		{append(good, "--log-level", "verbose"), `--log-level "verbose": must be debug, info, warn or error`},
		{append(good, "--log-format", "xml"), `--log-format "xml": must be console or json`},
		{append(good, "--config", "/no/such"), `--config "/no/such": no such file`},
		{append(good, "--listen", taken), "address already in use"},
		{append(good, "--admin", taken), "address already in use"},
		{append(good, "--upstram", "x"), "--upstram: no such flag; did you mean --upstream?"},
		{append(good, "--no-such-flag"), "--no-such-flag: no such flag; see weir serve --help"},
		{append(good, "--redis"), "--redis: give its value, too"},
		{[]string{"config", "check"}, "name a file: weir config check FILE"},
		{[]string{"config", "check", "/no/such"}, "/no/such: no such file"},
		{[]string{"demo", "--duration", "30"}, `--duration "30": must be a time with its unit`},
		{append(good, "weir.yaml"), `"weir.yaml": weir serve takes flags only; a configuration file is given by --config`},
		{[]string{"config", "chek"}, "weir config chek: no such command; did you mean weir config check?"},
		{[]string{"serv"}, "weir serv: no such command; did you mean weir serve?"},
		{[]string{"frobnicate"}, "weir frobnicate: no such command; there are: "},
		{[]string{"help", "serv"}, "weir serv: no such command; did you mean weir serve?"},
		{[]string{"completion", "tcsh"}, "weir completion tcsh: no such command; "},
		{[]string{"completion", "bash", "extra"}, "weir completion bash extra: it takes flags only; see weir completion bash --help"},
		{[]string{"version", "extra"}, "weir version extra: it takes flags only; see weir version --help"},
		{[]string{"config", "schema", "extra"}, "weir config schema extra: it takes flags only"},
		{[]string{"modelserver", "--listen", "127.0.0.1:0", "--max-running", "0"}, `--max-running "0": must be from 1 to 100000`},
		{[]string{"demo", "--replicas", "0"}, `--replicas "0": must be from 1 to 32`},
		{[]string{"demo", "--duration", "1ms"}, `--duration "1ms": must be from 2s to 1h`},
		{[]string{"demo", "--admin", taken}, "--admin"},
	} {
		_, err := run(t, 10*time.Second, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("weir %s: error %v, want one that says %q", strings.Join(c.args, " "), err, c.says)
		} else if strings.Contains(err.Error(), "line ") {
			t.Errorf("weir %s: error %v names a line of a file that is not there", strings.Join(c.args, " "), err)
		}
	}
}

// TestCompletion wants the shell to be offered what a flag may be.
func TestCompletion(t *testing.T) {
	for flag, want := range map[string]string{
		"--fairness": "round-robin-fairness-policy", "--on-store-outage": "hold", "--log-level": "warn", "--log-format": "json",
	} {
		out, err := run(t, 10*time.Second, "__complete", "serve", flag, "")
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: offered %q, %v; want %s among it", flag, out, err, want)
		}
	}
	out, err := run(t, 10*time.Second, "__complete", "serve", "--fairness", "")
	if err != nil || strings.Contains(out, "fcfs-ordering-policy") {
		t.Errorf("--fairness: offered %q, %v; want fairness policies only", out, err)
	}
}

// TestHelp wants help to fit a terminal, and to say what holds without a flag.
func TestHelp(t *testing.T) {
	var all func(cmd *cobra.Command, path ...string)
	all = func(cmd *cobra.Command, path ...string) {
		out, err := run(t, 10*time.Second, append(path, "--help")...)
		if err != nil || !strings.Contains(out, "--help") {
			t.Fatalf("weir %v --help: %q, %v", path, out, err)
		}
		for _, line := range strings.Split(out, "\n") {
			if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "        ")); n > 80 {
				t.Errorf("weir %v --help: %d columns: %s", path, n, line)
			}
		}
		for _, c := range cmd.Commands() {
			all(c, append(slices.Clip(path), c.Name())...)
		}
	}
	all(newRoot(builtin.Registry()))
	out, err := run(t, 10*time.Second, "serve", "--help")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{"(default 32Mi)", "(default 127.0.0.1:8080)", "(default round-robin-fairness-policy)", "(default 1m0s)", "(default share)", `(default "default")`, "in place of the detector of --config; 100 without either"} {
		if !strings.Contains(words, want) {
			t.Errorf("help does not say %q", want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if out, err := run(t, 10*time.Second, args...); err != nil || !strings.HasPrefix(out, "weir ") || !strings.Contains(out, "go1.") {
			t.Errorf("weir %s: %q, %v", args[0], out, err)
		}
	}
	out, err := run(t, 10*time.Second, "version", "--json")
	var info struct{ Version, Go string }
	if err != nil || json.Unmarshal([]byte(out), &info) != nil || info.Version == "" || info.Go == "" {
		t.Errorf("weir version --json: %q, %v", out, err)
	}
}

// TestDemo runs a short demo and checks what its summary promises. How even it is, is a matter of
// time: on a machine that had none for a ledger that answers, another run may show it.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	var uneven string
	for range 3 {
		out, err := run(t, time.Minute, "demo", "--duration", "4s", "--json", "--admin", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var summary demo.Summary
		if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &summary); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if summary.InFlightPeak > int64(summary.Limit) || summary.Failures > 0 || summary.Divided == nil {
			t.Fatalf("at most %d of %d in flight, %d failures, divided: %v", summary.InFlightPeak, summary.Limit, summary.Failures, summary.Divided)
		}
		if summary.JainIndex >= 0.98 && summary.Divided.JainIndex <= summary.JainIndex-0.1 {
			return
		}
		uneven = fmt.Sprintf("Jain index %.3f, divided %.3f; want at least 0.98, and less by 0.1", summary.JainIndex, summary.Divided.JainIndex)
		t.Log(uneven)
	}
	t.Error(uneven)
}
