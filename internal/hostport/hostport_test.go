package hostport

import (
	"errors"
	"net"
	"testing"

	"github.com/weirflow/weir/internal/freeport"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]struct{ listener, remote error }{
		"127.0.0.1:80":    {},
		"[::1]:80":        {},
		"[fe80::1%lo]:80": {},
		"a_b.example.:80": {},
		"host:http":       {},
		":80":             {nil, ErrHost},
		"127.0.0.1:0":     {nil, ErrPort},
		"127.0.0.1":       {ErrForm, ErrForm},
		"127.0.0.1:":      {ErrForm, ErrForm},
		"::1:80":          {ErrForm, ErrForm},
		"a:-1":            {ErrListenPort, ErrPort},
		"a:65536":         {ErrListenPort, ErrPort},
		"%zz:9":           {ErrHost, ErrHost},
		"a b:9":           {ErrHost, ErrHost},
		"http://a:9":      {ErrForm, ErrForm},
		"a/b:9":           {ErrHost, ErrHost},
		"a..b:9":          {ErrHost, ErrHost},
		"ä:9":             {ErrHost, ErrHost},
		"10.0.0.256:9":    {ErrHost, ErrHost},
		"10.0.0:9":        {ErrHost, ErrHost},
		"010.0.0.1:9":     {ErrHost, ErrHost},
		"10.0.0.1.:9":     {ErrHost, ErrHost},
		"1a.0.0.1:9":      {},
		"471184920356:9":  {}, // as a container may be called
	} {
		if got := Listener(address); !errors.Is(got, want.listener) {
			t.Errorf("to listen on %s: %v, want %v", address, got, want.listener)
		}
		if got := Remote(address); !errors.Is(got, want.remote) {
			t.Errorf("to connect to %s: %v, want %v", address, got, want.remote)
		}
	}
}

// TestCollide compares with what listening on both comes to.
func TestCollide(t *testing.T) {
	_, port, _ := net.SplitHostPort(freeport.Address(t))
	hosts := []string{"127.0.0.1", "127.0.0.2", "0.0.0.0", "", "localhost"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // the machine has IPv6
		_ = l.Close()
		hosts = append(hosts, "::1", "::")
	}
	for _, a := range hosts {
		for _, b := range hosts {
			a, b := net.JoinHostPort(a, port), net.JoinHostPort(b, port)
			first, err := net.Listen("tcp", a)
			if err != nil {
				t.Fatal(err)
			}
			second, err := net.Listen("tcp", b)
			if err == nil {
				_ = second.Close()
			}
			_ = first.Close()
			if got := Collide(a, b); got != (err != nil) {
				t.Errorf("%s beside %s: %v; a second listener: %v", a, b, got, err)
			}
		}
	}
	for _, two := range [][2]string{{"127.0.0.1:0", "127.0.0.1:0"}, {"127.0.0.1:1", "127.0.0.1:2"}, {"a:1", "b:1"}} {
		if Collide(two[0], two[1]) {
			t.Errorf("%s is said to exclude %s", two[0], two[1])
		}
	}
	if !Collide("a:80", "a:http") || !Collide("a:80", ":80") {
		t.Error("equal addresses by other words do not collide")
	}
}
