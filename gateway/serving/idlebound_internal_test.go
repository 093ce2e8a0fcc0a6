package serving

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestIdleConnectionsAreBounded has many clients keep a connection after a request, or say nothing on
// it: those that have been idle for longest are closed, and the others are used again.
func TestIdleConnectionsAreBounded(t *testing.T) {
	const most, kept = 1 << 20, idleParts << 20 / idleBytes
	_, address := bounded(t, most, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	ask := func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	var conns []net.Conn
	for i := range 2 * kept {
		conn := dial(t, address)
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if i%2 == 0 {
			if err := ask(conn); err != nil {
				t.Fatal(err)
			}
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns[:kept/2] {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("something came by a connection that should be closed")
		} else if late, ok := err.(net.Error); ok && late.Timeout() {
			t.Fatal("more connections are kept than there is room for")
		}
	}
	for i, conn := range conns[2*kept-kept/2:] {
		if err := ask(conn); err != nil {
			t.Fatalf("connection %d of those that were used last: %v", i, err)
		}
	}
}
