package serving

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHandshakesInPieces has more clients than there is room for send one byte, and then the rest
// all at once and leave: the next is served. By TCP, since what has come and is not read shows there.
func TestHandshakesInPieces(t *testing.T) {
	_, url, client := secured(t, 8, func(http.ResponseWriter, *http.Request) {})
	hello := helloOfClient(t)
	var conns []net.Conn
	for range 8 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(hello[:1]); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	time.Sleep(200 * time.Millisecond) // until the first have their turns
	for _, c := range conns {
		_, _ = c.Write(hello[1:]) // some may have been cut off
	}
	time.Sleep(100 * time.Millisecond)
	for _, c := range conns {
		_ = c.Close()
	}
	c := client()
	c.Timeout = 20 * time.Second
	res, err := c.Get(url)
	if err != nil {
		t.Fatalf("the next client: %v", err)
	}
	_ = res.Body.Close()
}

// helloOfClient is what a client of TLS sends first.
func helloOfClient(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, &tls.Config{ServerName: "server", MinVersion: tls.VersionTLS13}).Handshake() // ends with the pipe
	}()
	hello := make([]byte, 16<<10)
	n, err := theirs.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	return hello[:n]
}
