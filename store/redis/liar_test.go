package redis

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
)

// liar stands between a ledger and its Redis, and answers every command by itself while it
// lies.
type liar struct {
	address string
	says    atomic.Pointer[string] // nil for the truth
	told    atomic.Int64           // how often it lied
}

func newLiar(t *testing.T, to string) *liar {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	l := &liar{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(conn, to)
		}
	}()
	return l
}

func (l *liar) serve(client net.Conn, to string) {
	defer client.Close() //nolint:errcheck // the test is about what it says
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // as above
	go func() { _, _ = io.Copy(client, server) }()
	in := bufio.NewReader(client)
	part := make([]byte, 64<<10)
	for {
		n, err := in.Read(part)
		if err != nil {
			return
		}
		if says := l.says.Load(); says != nil {
			l.told.Add(1)
			_, err = io.WriteString(client, *says)
		} else {
			_, err = server.Write(part[:n])
		}
		if err != nil {
			return
		}
	}
}

// TestLies has a server say what no Redis says, by connections for turns and by subscriptions,
// some of it enough to end a process or to take its memory: turns fail, and once the truth is
// told, turns are taken and wake-ups come.
func TestLies(t *testing.T) {
	server := redistest.Start(t)
	for what, lie := range map[string]string{
		"nothing in an array":        "*0\r\n",
		"an array of what it is not": "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n",
		"half a subscription":        "*1\r\n$9\r\nsubscribe\r\n",
		"a length beyond numbers":    "$9223372036854775805\r\n",
		"many elements":              "*9223372036854775\r\n",
		"room for gigabytes":         "*2000000000\r\n",
		"depth":                      strings.Repeat("*1\r\n", 1<<20),
		"another protocol":           "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an empty push":              ">0\r\n",
		"a push of numbers":          ">2\r\n:1\r\n:2\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			between := newLiar(t, server.Address)
			l, err := Open(t.Context(), Config{URL: "redis://" + between.address, Timeout: time.Second, Timings: store.Timings{Lease: 200 * time.Millisecond}, Pool: what})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // nothing is left
			ctx, cancel := context.WithCancel(t.Context())
			wakeups := l.Wakeups(ctx, "a")
			turn := turns(t, l)
			until(t, "turns are taken", func() bool { return turn() == nil })
			between.says.Store(&lie)
			for told := between.told.Load(); between.told.Load() < told+10; { // the subscription's questions among them
				if err := turn(); err == nil {
					t.Fatal("a lie was taken for a turn")
				} else if !errors.Is(err, store.ErrUnavailable) {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			between.says.Store(nil)
			until(t, "turns are taken again", func() bool { return turn() == nil })
			channel := l.root + ":" + ledgerFormat + ":wake:a"
			until(t, "wake-ups come again", func() bool {
				return server.Client().Publish(t.Context(), channel, "").Val() > 0
			})
			cancel()
			until(t, "wake-ups end", func() bool {
				select {
				case _, open := <-wakeups:
					return !open
				default:
					return false
				}
			})
		})
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("not in time: %s", what)
		}
	}
}
