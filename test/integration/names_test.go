package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestJoinByName has replicas join by one name that has the addresses of two others, as
// a headless Service's has. The name is in a hosts file of the third one's own.
func TestJoinByName(t *testing.T) {
	t.Parallel() // it mostly waits
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: mount namespaces are not permitted here: %v %s", err, out)
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.2 weir-gossip\n127.0.0.3 weir-gossip\n127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freeport.Address(t))
	c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: processes.StartServers(t, 1, processes.Limit)}
	for i := range 3 {
		ip := fmt.Sprint("127.0.0.", i+2)
		cmd := exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts, processes.Binary())
		c.Replicas = append(c.Replicas, processes.StartBy(t, cmd, ip, fmt.Sprint("r", i+1), c.Servers,
			"--redis", c.Redis.URL(), "--gossip", net.JoinHostPort(ip, port), "--peer", net.JoinHostPort(ip, "0"), "--join", net.JoinHostPort("weir-gossip", port)))
	}
	took := c.Wait("all three know each other", processes.Patience, func() bool { return c.Agree(3) })
	t.Logf("all three knew each other %v after the last started", took)
}
