package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
)

// TestFlagsInPlainWords wants what is wrong with flags in words that need none of the libraries'.
func TestFlagsInPlainWords(t *testing.T) {
	for args, want := range map[string]string{
		"set group x --weight 3":                     "weir set group: no such command; there are: endpoint, flow",
		"set flow a --weight x --for 1m":             `--weight "x": must be a number`,
		"set flow a --for 1m":                        "weir set flow: say what is to be set: give at least one of --weight, --max-in-flight, --tokens-per-minute",
		"set flow a --weight 2":                      "weir set flow: say how long it holds: give --for",
		"set endpoint a --for 1m":                    "weir set endpoint: say what is to be set: give --drain",
		"set flow a --weight 2 --for x":              `--for "x": must be a time with its unit, such as 90s, 10m, 2h or 7d`,
		"flows -x":                                   "-x: no such flag; see weir flows --help",
		"usage --last 1h --from 2026-11-01":          "--last and --from: give one of them",
		"usage --from yesterday":                     "--from yesterday: it must be a day or a time, such as 2026-11-01 or 2026-11-01T12:00:00Z",
		"serve --pool-name p":                        "--pool-name: no such flag; Weir's is --inference-pool NAMESPACE/NAME",
		"serve --grpcPort=9002":                      "--grpcPort: no such flag; Weir's is --ext-proc ADDRESS, such as :9002",
		"serve -v 4":                                 "-v: no such flag; Weir's is --log-level LEVEL",
		"config check f --config-file x":             "--config-file: no such flag; Weir's is --config FILE",
		"adopt f --ha-enable-leader-election":        "--ha-enable-leader-election: no such flag; leave it out",
		"flows -v":                                   "-v: no such flag; see weir flows --help",
		"config check":                               "name a file: weir config check FILE",
		"adopt a b":                                  "2 files are given; name one: weir adopt FILE",
		"serve --upstream http://a:1 --redis h":      `the scheme is ""`,
		"serve --upstream http://a:1 --redis h:6379": "did you mean redis://h:6379?",
	} {
		if _, err := run(t, 10*time.Second, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("weir %s: %v\nwant %s", args, err, want)
		}
	}
}

// TestLongTimes reads times in days, and days.
func TestLongTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "90s": 90 * time.Second} {
		var got longTime
		if err := got.Set(text); err != nil || time.Duration(got) != want {
			t.Errorf("%s is %v: %v", text, time.Duration(got), err)
		}
	}
	for _, text := range []string{"", "d", "7", "7x", "1d2", "99999999999999999999d"} {
		var got longTime
		if err := got.Set(text); err == nil {
			t.Errorf("%q is %v", text, time.Duration(got))
		}
	}
	from, to, err := spanOf(time.Hour, "2026-11-01", "2026-11-02T06:00:00Z", time.Now())
	if err != nil || to.Sub(from) != 30*time.Hour {
		t.Errorf("from %v to %v: %v", from, to, err)
	}
}

// TestPickersFile wants a file of today's Endpoint Pickers, which does not say where the model
// servers are, to be good, and what becomes of it to be, too, with nothing wider than a screen.
func TestPickersFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "epp.yaml")
	if err := os.WriteFile(file, []byte(config.Empty+"plugins:\n- {type: queue-scorer}\n- {type: max-score-picker}\nschedulingProfiles:\n- name: default\n  plugins: [{pluginRef: queue-scorer}, {pluginRef: max-score-picker}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, 10*time.Second, "config", "check", file)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	says(t, "weir config check", out, "the file does not say where the model servers are; tell weir serve, such as by --inference-pool NAMESPACE/NAME", "is good")
	out, err = run(t, 10*time.Second, "adopt", file, "--out", dir)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "# "+dir) && len([]rune(line)) > columns+1 {
			t.Errorf("weir adopt: %d columns: %s", len([]rune(line)), line)
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "other hosts they need another") {
		t.Errorf("it is not said that probes come to loopback only:\n%s", out)
	}
	weir := filepath.Join(dir, "weir.yaml")
	if out, err := run(t, 10*time.Second, "config", "check", weir); err != nil || !strings.Contains(out, "is good") {
		t.Errorf("what came of it: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(weir); err != nil || !strings.Contains(strings.ReplaceAll(string(text), "'", ""), "listen: :9002") {
		t.Errorf("Envoy cannot come from elsewhere: %v\n%s", err, text)
	}
}

// TestCheckSaysWhatServeSays refuses, by weir config check, what a replica would not start with.
func TestCheckSaysWhatServeSays(t *testing.T) {
	dir := t.TempDir()
	for name, section := range map[string]string{
		"two listeners at one address":       `{listen: "127.0.0.1:18080", admin: "127.0.0.1:18080"}`,
		"a picker's address":                 `{listen: "127.0.0.1:0", admin: "127.0.0.1:0", extProc: {picker: {addresses: ["%zz:9"]}}}`,
		"a picker's certificate":             `{listen: "127.0.0.1:0", admin: "127.0.0.1:0", extProc: {picker: {addresses: ["a:9"], ca: ` + dir + `}}}`,
		"a token's file that is a directory": `{listen: "127.0.0.1:0", admin: "127.0.0.1:0", adminTokenFile: ` + dir + `}`,
		"a pool's name":                      `{listen: "127.0.0.1:0", admin: "127.0.0.1:0", pool: "{a}"}`,
		"a host":                             `{listen: "a b:0", admin: "127.0.0.1:0"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "weir.yaml")
			text := config.Empty + "weir: " + strings.TrimSuffix(section, "}") + `, endpoints: [{url: "http://127.0.0.1:1"}]}` + "\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, checked := run(t, time.Second, "config", "check", file)
			_, served := run(t, time.Second, "serve", "--config", file, "--log-level", "error")
			if checked == nil || served == nil || checked.Error() != served.Error() {
				t.Errorf("weir config check: %v\nweir serve: %v\nwant one refusal", checked, served)
			}
		})
	}
}
