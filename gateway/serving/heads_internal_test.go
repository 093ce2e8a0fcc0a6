package serving

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// bounded is a server whose heads may take so many bytes, at its address.
func bounded(t *testing.T, most int64, handler http.HandlerFunc) (*heads, string) {
	t.Helper()
	l, err := Listen("--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handler}
	wrapped := BoundHeads(server, l, most)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Until(ctx, time.Second, server, wrapped, func(context.Context) error { return nil }) }()
	t.Cleanup(func() {
		end()
		<-ended
	})
	return wrapped.(*headListener).heads, l.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// holds waits until the server counts so much for heads.
func (h *heads) holds(t *testing.T, what string, fits func(used int64, connections int) bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		used, n := h.used, len(h.coming)
		h.mu.Unlock()
		if fits(used, n) {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s: %d bytes are counted for %d connections", what, used, n)
		}
	}
}

// TestHeadsAreBounded has many connections send heads that never end, as their first request and
// after another: few of them stay, other requests are served, and what is over counts no more.
func TestHeadsAreBounded(t *testing.T) {
	for what, first := range map[string]string{"at once": "", "after a request": "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		t.Run(what, func(t *testing.T) {
			const most = 1 << 20
			h, address := bounded(t, most, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
			var conns []net.Conn
			for range 40 {
				conn := dial(t, address)
				conns = append(conns, conn)
				if first != "" {
					_, _ = io.WriteString(conn, first)
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					_ = res.Body.Close()
				}
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a:\r\n", 2000)) // it may be cut off
			}
			var closed sync.WaitGroup
			over := make(chan struct{}, len(conns))
			for _, conn := range conns {
				closed.Go(func() {
					_, _ = io.Copy(io.Discard, conn)
					over <- struct{}{}
				})
			}
			for range len(conns) - most/(headBytes+headFactor*8000) {
				select {
				case <-over:
				case <-time.After(30 * time.Second):
					t.Fatal("heads that do not end take more than they may")
				}
			}
			res, err := http.Get("http://" + address)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("another request: %v, %v", res, err)
			}
			_ = res.Body.Close()
			h.holds(t, "while heads come", func(used int64, _ int) bool { return used <= most })
			for _, conn := range conns {
				_ = conn.Close()
			}
			h.holds(t, "when all are gone", func(used int64, n int) bool { return used == 0 && n == 0 })
			closed.Wait()
		})
	}
}

// TestSlowAndSteady has a client take an answer slowly and without a pause: each write is done
// long before it would count as one that takes nothing.
func TestSlowAndSteady(t *testing.T) {
	const patience = 3 * time.Second
	failed := make(chan error, 1)
	_, address := bounded(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		part := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			_ = c.SetWriteDeadline(time.Now().Add(patience))
			if _, err := w.Write(part); err != nil {
				failed <- err
				return
			}
		}
	})
	conn := dial(t, address)
	_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	part := make([]byte, 10<<10)
	for began := time.Now(); time.Since(began) < 2*patience; time.Sleep(50 * time.Millisecond) { // 200 kB/s
		if _, err := io.ReadFull(conn, part); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-failed:
			t.Fatalf("after %v: %v", time.Since(began), err)
		default:
		}
	}
}

// TestHeadsThatWaitShutOutNobody has more connections than there is room for send a byte each and
// wait. Each counts as much as it takes, which is little beside a head that comes in whole; still
// it is they who end for it, and every request is served.
func TestHeadsThatWaitShutOutNobody(t *testing.T) {
	const most = 1 << 20
	h, address := bounded(t, most, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	for range 200 {
		_, _ = io.WriteString(dial(t, address), "G")
	}
	h.holds(t, "full of heads that wait", func(used int64, n int) bool { return n > 100 && used > most-headBytes-2*headFactor })
	for range 50 {
		conn := dial(t, address)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+strings.Repeat("k", 200)+"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("a request that came at once was not served: %v", err)
		}
		_ = res.Body.Close()
	}
}
