package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// masterName is what the Sentinels call the server they watch.
const masterName = "weir"

// StartSentinels starts a server, a replica of it and three Sentinels, two of which
// must agree that the server is down, 500 ms after it last answered. The URL is the
// Sentinels'.
func StartSentinels(tb testing.TB) (master, replica *Server, url string) {
	tb.Helper()
	master = Start(tb)
	replica = Start(tb, "--replicaof", "127.0.0.1 "+master.port())
	var sentinels []*Server
	var addresses []string
	for range 3 {
		// A Sentinel writes what it learns into its own file.
		file := filepath.Join(tb.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\nsentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 3000\n",
			masterName, master.port())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		sentinel := start(tb, file, []string{"--sentinel"})
		sentinels, addresses = append(sentinels, sentinel), append(addresses, sentinel.Address)
	}
	for _, sentinel := range sentinels {
		client := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Address})
		tb.Cleanup(func() { _ = client.Close() })
		sentinel.await("the Sentinels to know each other and the replica", func() bool {
			of, err := client.Master(tb.Context(), masterName).Result()
			return err == nil && of["num-other-sentinels"] == "2" && of["num-slaves"] == "1"
		})
	}
	return master, replica, "redis://" + strings.Join(addresses, ",") + "?master=" + masterName
}
