package replica

import "testing"

func TestLocalName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:9090": true, "LOCALHOST.:1": true, "weir.localhost:9090": true, "127.0.0.1:9090": true, "127.0.0.1": true,
		"[::1]:9090": true, "::1": true, "10.0.0.7:9090": true, "": true,
		"evil.example:9090": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "notlocalhost": false,
	} {
		if localName(host) != want {
			t.Errorf("%q is local: %v, want %v", host, !want, want)
		}
	}
}
