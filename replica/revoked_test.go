package replica_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
)

// TestRevokedKeysWaitNoLonger takes a key out of its file while requests wait by it and by another:
// those are refused at once, and the others go when it is their turn.
func TestRevokedKeysWaitNoLonger(t *testing.T) {
	t.Parallel() // it mostly waits
	server := newServers(t)
	server.held.Store(int64(time.Hour))
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "keys.yaml")
	write(t, keys, keyOf("one", "a")+keyOf("two", "b"))
	write(t, file, config.Empty+"flowControl: {defaultRequestTTL: 0s}\nweir: {timeouts: {firstByte: 10s}, identity: {apiKeys: "+keys+"}}\n")
	r := start(t, file, map[string]string{"max-concurrency": "1", "upstream": server.URL})
	ask := func(key string) <-chan int {
		answered := make(chan int, 1)
		go func() { answered <- r.ask(t, key) }()
		return answered
	}
	inFlight := ask("one")
	eventually(t, "one is in flight", func() bool { return server.inFlight.Load() == 1 })
	revoked, again, stays := ask("one"), ask("one"), ask("two")
	eventually(t, "three wait", func() bool { return r.says(t, "/v1/pool", `"queued": 3`) })
	server.held.Store(0)
	write(t, keys, keyOf("two", "b"))
	for _, answered := range []<-chan int{revoked, again} {
		select {
		case code := <-answered:
			if code != http.StatusUnauthorized {
				t.Errorf("a request that waits by a key that is gone is answered %d", code)
			}
		case code := <-stays:
			t.Fatalf("requests by a key that is gone still wait, and one by another is answered %d", code)
		}
	}
	if code := <-inFlight; code != http.StatusGatewayTimeout { // by its server's time
		t.Errorf("the request in flight is answered %d", code)
	}
	if code := <-stays; code != http.StatusOK {
		t.Errorf("a request by a key that stays is answered %d", code)
	}
	if n := server.served.Load(); n != 2 {
		t.Errorf("%d requests came to the server, want 2", n)
	}
}
