//go:build unix

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

const composeFolder = "../../deploy/compose/"

// service is what the test takes of a service of a compose file.
type service struct {
	Image     string
	Command   []string
	Networks  yaml.Node
	DependsOn []string `yaml:"depends_on"`
	Volumes   []string
}

// TestCompose runs the services of the compose file as processes of this machine: what they say
// to each other by host names goes to loopback. The three tenants get the same, and Prometheus
// reads everybody.
func TestCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	text, err := os.ReadFile(composeFolder + "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	local := &composed{t: t, ports: make(map[string]string), names: make(map[string]string)}
	local.ports["redis:6379"] = strings.TrimPrefix(redistest.Start(t).URL(), "redis://")
	for name, s := range file.Services {
		for _, needed := range s.DependsOn {
			if _, there := file.Services[needed]; !there {
				t.Errorf("%s depends on %s, which is not there", name, needed)
			}
		}
		for _, v := range s.Volumes {
			if host, _, _ := strings.Cut(v, ":"); !exists(composeFolder + host) {
				t.Errorf("%s mounts %s, which is not there", name, host)
			}
		}
		if address := regexp.MustCompile(`ipv4_address: ([\d.]+)`).FindStringSubmatch(written(t, &s.Networks)); address != nil {
			local.names[address[1]] = name
		}
	}
	for _, name := range []string{"server-1", "server-2", "weir-1", "weir-2", "weir-3"} {
		s, there := file.Services[name]
		if !there || s.Image != "weir" {
			t.Fatalf("%s is no service of Weir", name)
		}
		local.start(name, processes.Binary(), local.here(name, s.Command)...)
	}
	var replicas []*processes.Replica
	for _, name := range []string{"weir-1", "weir-2", "weir-3"} {
		replicas = append(replicas, &processes.Replica{ID: name, Admin: "http://" + local.address(name, "9090"), URL: "http://" + local.address(name, "8080")})
	}
	c := &processes.Cluster{T: t, Replicas: replicas}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })

	script, err := os.ReadFile(composeFolder + "load.sh")
	if err != nil {
		t.Fatal(err)
	}
	needs.Tool(t, "curl")
	local.start("load", "sh", "-c", local.replaced(string(script)))
	tenants := []string{"greedy", "modest", "small"}
	served := func() (all []int64) {
		flows, err := processes.Get[api.Flows](replicas[0], "/v1/flows")
		if err != nil {
			return nil
		}
		for _, id := range tenants {
			for _, f := range flows.Flows {
				if f.ID == id {
					all = append(all, f.ServedRequests)
				}
			}
		}
		return all
	}
	c.Wait("every tenant is served", processes.Patience, func() bool { s := served(); return len(s) == 3 && slices.Min(s) > 20 })
	before := served()
	time.Sleep(3 * time.Second)
	after := served()
	var got []int64
	for i := range after {
		got = append(got, after[i]-before[i])
	}
	t.Logf("the tenants got %v in 3 s", got)
	if slices.Min(got) < slices.Max(got)*8/10 {
		t.Errorf("the tenants %v got %v requests; want the same", tenants, got)
	}
	local.scraped()
}

// composed are services that run as processes.
type composed struct {
	t     *testing.T
	ports map[string]string // the local address of a service's, such as weir-1:8080
	names map[string]string // of services, by their addresses in the compose network
}

// address is where a port of a service is on this machine.
func (c *composed) address(service, port string) string {
	key := service + ":" + port
	if c.ports[key] == "" {
		c.ports[key] = freeport.Address(c.t)
	}
	return c.ports[key]
}

var hostPort = regexp.MustCompile(`\b(redis|server-\d|weir-\d|\d+\.\d+\.\d+\.\d+):(\d+)\b`)

// replaced is a text with the addresses of this machine for those of services.
func (c *composed) replaced(text string) string {
	return hostPort.ReplaceAllStringFunc(text, func(found string) string {
		name, port, _ := strings.Cut(found, ":")
		if of, ok := c.names[name]; ok {
			name = of
		}
		return c.address(name, port)
	})
}

// here are a service's arguments on this machine.
func (c *composed) here(name string, args []string) (all []string) {
	for _, a := range args {
		all = append(all, c.replaced(strings.ReplaceAll(a, "0.0.0.0:", name+":")))
	}
	return all
}

// start runs a process, and its children, until the test ends.
func (c *composed) start(name, command string, args ...string) {
	cmd := exec.Command(command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := filepath.Join(c.t.TempDir(), name)
	out, err := os.Create(log)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = out.Close()
		if text, err := os.ReadFile(log); err == nil && c.t.Failed() {
			c.t.Logf("%s:\n%s", name, text)
		}
	})
}

// scraped has a Prometheus with the compose file's configuration find everybody up.
func (c *composed) scraped() {
	needs.Tool(c.t, "prometheus")
	dir := c.t.TempDir()
	for from, to := range map[string]string{composeFolder + "prometheus.yaml": "prometheus.yml", "../../deploy/prometheus/alerts.yaml": "alerts.yaml"} {
		text, err := os.ReadFile(from)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), []byte(c.replaced(string(text))), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	address := c.address("prometheus", "9090")
	c.start("prometheus", "prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	var up struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		res, err := http.Get("http://" + address + "/api/v1/query?query=up")
		if err == nil {
			err = json.NewDecoder(res.Body).Decode(&up)
			_ = res.Body.Close()
		}
		healthy := 0
		for _, r := range up.Data.Result {
			if fmt.Sprint(r.Value[1]) == "1" {
				healthy++
			}
		}
		if err == nil && healthy == 5 {
			return
		}
		if time.Since(began) > 30*time.Second {
			c.t.Fatalf("Prometheus finds %+v up, %v; want five", up.Data.Result, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// written is a node as text.
func written(t *testing.T, n *yaml.Node) string {
	t.Helper()
	if n.IsZero() {
		return ""
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
