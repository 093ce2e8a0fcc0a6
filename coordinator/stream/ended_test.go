package stream

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weirflow/weir/coordinator"
)

// ends is a channel of the runs whose processes a replica takes for ended.
func ends(c *Config, of *end) <-chan string {
	ended := make(chan string, 10)
	of.Ended = func(peer string, incarnation uint64) {
		if incarnation == c.Incarnation {
			ended <- peer
		}
	}
	return ended
}

// TestEnded closes all that a replica has open, as the kernel does when its process ends,
// at either end of the stream, with and without TLS: the other one knows that it has ended.
func TestEnded(t *testing.T) {
	for name, configure := range map[string]func(*Config){
		"in clear text": nil,
		"with a key":    func(c *Config) { c.Key = []byte("0123456789abcdef") },
	} {
		for _, dies := range []string{"a", "b"} {
			t.Run(name+" "+dies, func(t *testing.T) {
				a, b := start(t, "a", configure), start(t, "b", configure)
				survivor, other := b, a
				if dies == "b" {
					survivor, other = a, b
				}
				ended := ends(&other.cfg, survivor)
				introduce(a, b)
				wait(t, "a's stream", a.up)
				wait(t, "b's stream", b.up)
				other.Close(context.Background())
				if id := wait(t, "the end", ended); id != dies {
					t.Errorf("%s has ended, want %s", id, dies)
				}
			})
		}
	}
}

// TestNotEnded closes the stream with a replica that still listens: it has not ended.
func TestNotEnded(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	ended := ends(&a.cfg, b)
	introduce(a, b)
	wait(t, "a's stream", a.up)
	wait(t, "b's stream", b.up)
	a.SetMembers([]coordinator.Member{a.member()})
	for wait(t, "the stream's end", b.up) {
	}
	select {
	case id := <-ended:
		t.Errorf("%s is taken for ended", id)
	case <-time.After(10 * a.cfg.Redial):
	}
}

// TestStoppedThenKilled has the kernel take connections of a process that says nothing:
// that is no end, and once it is killed it is.
func TestStoppedThenKilled(t *testing.T) {
	a := start(t, "a", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			taken <- conn
		}
	}()
	b := coordinator.Member{ID: "b", Incarnation: 7, Address: l.Addr().String()}
	ended := ends(&a.cfg, a)
	go a.awaitEnd(b, &watched{})
	held := wait(t, "a connection", taken)
	select {
	case <-ended:
		t.Error("a process that takes connections is taken for ended")
	case <-time.After(10 * a.cfg.Redial):
	}
	_ = l.Close()
	_ = held.Close()
	wait(t, "the end", ended)
}

// TestWatchedNoLonger has a process that takes connections and says nothing: it is not
// watched for longer than what it held counts.
func TestWatchedNoLonger(t *testing.T) {
	a := start(t, "a", func(c *Config) { c.WatchEnd = 200 * time.Millisecond })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	over := make(chan struct{}, 1)
	go func() {
		a.awaitEnd(coordinator.Member{ID: "b", Incarnation: 7, Address: l.Addr().String()}, &watched{})
		over <- struct{}{}
	}()
	wait(t, "the end of watching", over)
}
