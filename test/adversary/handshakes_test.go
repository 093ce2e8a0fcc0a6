package adversary

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/test/processes"
)

// TestHandshakesInMemory has 300 clients connect by TLS in one moment, and then 1,000 strangers begin a
// handshake and say no more, again when they are cut off: nobody else is, and the replica keeps near its
// budget of memory.
func TestHandshakesInMemory(t *testing.T) {
	slow(t)
	const clients, strangers, budget = 300, 1000, 32 << 20
	ca := certtest.New(t)
	cert, key := ca.Issue("r1")
	r := processes.Start(t, "r1", processes.StartServers(t, 1, 8), "--memory-budget", fmt.Sprint(budget), "--tls-cert", cert, "--tls-key", key)
	address := strings.TrimPrefix(r.URL, "http://")
	config := &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}
	ask := func() {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
		defer client.CloseIdleConnections()
		res, err := client.Get("https://" + address + "/v1/models")
		if err != nil {
			t.Error(err)
			return
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	ask()
	idle := memory(t, r, "VmRSS")
	var all sync.WaitGroup
	for range clients {
		all.Go(ask)
	}
	all.Wait()
	crowd := memory(t, r, "VmHWM")

	ours, theirs := net.Pipe()
	config = config.Clone()
	config.ServerName = "127.0.0.1"
	go func() { _ = tls.Client(ours, config).Handshake() }() // ends with the pipe
	hello := make([]byte, 16<<10)
	n, _ := theirs.Read(hello)
	_ = theirs.Close()
	stop := make(chan struct{})
	for range strangers {
		all.Go(func() {
			for {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write(hello[:n])
				closed := make(chan struct{})
				go func() {
					_, _ = io.Copy(io.Discard, conn)
					close(closed)
				}()
				select {
				case <-closed:
					_ = conn.Close()
				case <-stop:
					_ = conn.Close()
					return
				}
			}
		})
	}
	time.Sleep(time.Second)
	var longest time.Duration
	for range 5 {
		began := time.Now()
		ask()
		longest = max(longest, time.Since(began))
	}
	close(stop)
	all.Wait()
	peak := memory(t, r, "VmHWM")
	t.Logf("%d MB when idle, %d MB with %d clients at once, %d MB beside %d strangers, where others were answered within %v", idle>>20, crowd>>20, clients, peak>>20, strangers, longest)
	// Beside the budget, what is garbage until it is collected: as much again as is in use.
	if peak > idle+2*budget {
		t.Errorf("%d MB of memory at the peak and %d when idle, with a budget of %d", peak>>20, idle>>20, budget>>20)
	}
}

// TestTicketPortInMemory has 4,000 strangers at eight addresses begin handshakes of 60 kB each at the
// ticket port of a fleet with a key: few of them are heard at a time, and a replica joins meanwhile.
func TestTicketPortInMemory(t *testing.T) {
	slow(t)
	if runtime.GOOS != "linux" {
		t.Skip("skipped: there is one address on loopback")
	}
	const strangers, most = 4000, 64 << 20
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), 0o600); err != nil {
		t.Fatal(err)
	}
	c, port := processes.NewCluster(t), freeport.Address(t)
	victim := c.Add("r2", "--gossip-key-file", key, "--peer", port)
	idle := memory(t, victim, "VmRSS")
	// The most of a ClientHello of 64 kB, in records of 16 kB.
	hello := "\x01\x00\xff\xff\x03\x03" + strings.Repeat("\x00", 60<<10)
	var begin []byte
	for part := range slices.Chunk([]byte(hello), 16<<10) {
		begin = append(append(begin, 0x16, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	for i := range strangers {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(10+i%8))}}
		conn, err := from.DialContext(t.Context(), "tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		_, _ = conn.Write(begin) // it may be closed
	}
	other := c.Add("r1", "--gossip-key-file", key) // which dials the one of the higher id
	c.Wait("the replicas have a stream", processes.Patience, func() bool { return reaches(victim, "r1") && reaches(other, "r2") })
	peak := memory(t, victim, "VmHWM")
	t.Logf("%d MB when idle, %d MB beside %d strangers", idle>>20, peak>>20, strangers)
	if peak > idle+most {
		t.Errorf("%d MB of memory at the peak and %d when idle", peak>>20, idle>>20)
	}
}
